// What others take from here. Types of the server's bodies: `import type { JobRow } from "../api/types.gen.ts"`.

export * from "./calls.ts";
export { Api, namesJob, pathOf, randomKey, type Fetch, type Options, type Query } from "./client.ts";
export { allRows } from "./pages.ts";
export { ApiProblem, notSent } from "./problem.ts";
export { ACTIVE, isState, isTerminal, STATES, TERMINAL } from "./states.ts";

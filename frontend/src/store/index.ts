// What others take from here.

export { Active } from "./active.ts";
export { JobList, LIVE_ROWS, PAGE_ROWS, type ListView } from "./list.ts";
export { Notices, type Notice, type Tone } from "./notices.ts";
export { RowStore } from "./rows.ts";
export { Signal, type Readable } from "./signal.ts";
export { Table, type TableView } from "./tables.ts";
export { World, type Age, type Line } from "./world.ts";

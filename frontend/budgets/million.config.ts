import { defineConfig } from "vitest/config";

// A million jobs on a real server, and what one who looks at them feels. Some minutes; apart from the other budgets.
//   npm run build && DAYBOOK_BIN=/path/to/daybook npm run million
export default defineConfig({
  test: {
    include: ["budgets/million.ts"],
    globalSetup: ["budgets/machine.ts"],
    pool: "forks",
    testTimeout: 600_000,
    hookTimeout: 600_000,
    fileParallelism: false,
    disableConsoleIntercept: true,
  },
});

import { defineConfig } from "vitest/config";

// The budgets that only a browser and a server can tell. Never part of the tests: times say something on a quiet
// machine alone.
//   npm run build && DAYBOOK_BIN=/path/to/daybook npm run budgets
export default defineConfig({
  test: {
    include: ["budgets/**/*.budget.ts"],
    globalSetup: ["budgets/machine.ts"],
    pool: "forks",
    // Everything ends by itself.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    fileParallelism: false,
    disableConsoleIntercept: true,
  },
});

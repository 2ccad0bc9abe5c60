import { defineConfig } from "vitest/config";

// A page that is left open for half an hour (DAYBOOK_SOAK_S: for so many seconds).
//   npm run build && DAYBOOK_BIN=/path/to/daybook npm run soak
export default defineConfig({
  test: {
    include: ["budgets/soak.ts"],
    globalSetup: ["budgets/machine.ts"],
    pool: "forks",
    testTimeout: 600_000,
    hookTimeout: 600_000,
    fileParallelism: false,
    disableConsoleIntercept: true,
  },
});

import { defineConfig } from "vitest/config";

// What takes long on a real server, apart from the other budgets: a million jobs, and a page that is left open.
//   npm run build && DAYBOOK_BIN=/path/to/daybook npm run million (or: npm run soak)
export default defineConfig({
  test: {
    include: ["budgets/million.ts", "budgets/soak.ts"],
    globalSetup: ["budgets/machine.ts"],
    pool: "forks",
    testTimeout: 600_000,
    hookTimeout: 600_000,
    fileParallelism: false,
    disableConsoleIntercept: true,
  },
});

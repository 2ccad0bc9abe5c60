import { defineConfig } from "vitest/config";
import budgets from "./vitest.config.ts";

// The list over 1,000,000 jobs; apart from the other budgets, as it fills a server first.
//   npm run build && DAYBOOK_BIN=/path/to/daybook npm run million       (DAYBOOK_JOBS: another number of them)
export default defineConfig({
  test: { ...budgets.test, include: ["budgets/million.budget.ts"], exclude: [], testTimeout: 900_000, hookTimeout: 900_000 },
});

import { defineConfig } from "vitest/config";

// The dashboard in a browser against a real server:
//   npm run build && DAYBOOK_BIN=/path/to/daybook npm run e2e
export default defineConfig({
  test: {
    include: ["e2e/**/*.e2e.ts"],
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Each file has a browser and a server of its own, and some do nothing but wait for a minute to be full: two at a time.
    maxWorkers: 2,
  },
});

import { defineConfig } from "vitest/config";

// Files that render begin with `// @vitest-environment happy-dom`; all others run without a page.
export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "src/**/*.test.tsx", "scripts/**/*.test.ts"],
    // Small files: a process for each costs more than what they run.
    pool: "threads",
    // Some do thousands of steps, on machines that do other things as well.
    testTimeout: 60_000,
  },
});

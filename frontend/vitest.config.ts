import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts"],
    // Two small files: a process for each costs more than what they run.
    pool: "threads",
  },
});

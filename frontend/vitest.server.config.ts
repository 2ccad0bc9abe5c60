import { defineConfig } from "vitest/config";

// The scripts against a real server: DAYBOOK_BIN=/path/to/daybook npm run test:server
export default defineConfig({
  test: {
    include: ["src/sync/scripts/run-against-server.ts"],
    // Node 20 has a WebSocket behind this; later ones have it anyway.
    execArgv: ["--experimental-websocket"],
    pool: "forks",
    testTimeout: 60_000,
    // Each script starts servers of its own: one at a time, or they wait for each other's compilers and disks.
    fileParallelism: false,
    maxConcurrency: 1,
  },
});

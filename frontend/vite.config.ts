// How the dashboard is built, and served while one works on it.

import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = process.env.DAYBOOK_SERVER ?? "http://127.0.0.1:7878";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2023",
    // The server's policy allows no inline script and no data: script, style or font.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          includeDependenciesRecursively: false,
          groups: [
            // Each file costs a request with its heads: what lists need is in one.
            { name: "list", test: /src\/(ui\/(field|grid)|hooks\/stats)\.tsx?$/ },
          ],
        },
      },
    },
  },
  server: {
    proxy: {
      // The page's origin is ours, not the server's: it would be refused.
      "/api": { target: server, changeOrigin: true, ws: true, rewriteWsOrigin: true, headers: { origin: server } },
      "/health": { target: server, changeOrigin: true },
    },
  },
});

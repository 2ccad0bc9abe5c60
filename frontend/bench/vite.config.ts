// The bench's own page, built apart: nothing of it is in the product.

import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** The product keeps some thousands of rows in memory. Here it keeps all, which is the harder case. */
function keepAllRows(): Plugin {
  const bound = /export const KEPT_ROWS = [\d_]+;/;
  return {
    name: "keep-all-rows",
    enforce: "pre",
    transform(code, id) {
      if (!id.endsWith("/store/list-parts.ts")) return null;
      if (!bound.test(code)) throw new Error("list-parts.ts has no KEPT_ROWS any more");
      return code.replace(bound, "export const KEPT_ROWS = Infinity;");
    },
  };
}

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  plugins: [keepAllRows(), react(), tailwindcss()],
  logLevel: "warn",
  publicDir: fileURLToPath(new URL("../public", import.meta.url)),
  build: { outDir: "dist", emptyOutDir: true, target: "es2023", chunkSizeWarningLimit: 2_000, reportCompressedSize: false },
  worker: { format: "es" },
});

// The bench's own page, built apart: nothing of it is in the product.

import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  plugins: [react(), tailwindcss()],
  logLevel: "warn",
  build: { outDir: "dist", emptyOutDir: true, target: "es2023", chunkSizeWarningLimit: 2_000, reportCompressedSize: false },
});

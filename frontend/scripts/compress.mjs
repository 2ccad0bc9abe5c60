// Puts a .br and a .gz beside each file of dist/ that is worth it, so that the server sends them as they are.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
/** Below this an encoding saves less than a packet. */
const WORTH_BYTES = 1024;
/** These are compressed already. */
const PACKED = /\.(br|gz|png|jpg|webp|woff2)$/;

for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || PACKED.test(entry.name)) continue;
  const path = join(entry.parentPath, entry.name);
  const bytes = readFileSync(path);
  if (bytes.length < WORTH_BYTES) continue;
  const brotli = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: brotli }));
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
}

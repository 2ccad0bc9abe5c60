import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "vitest";

test("the types are those of the schemas (npm run types)", () => {
  const script = fileURLToPath(new URL("../../scripts/types.mjs", import.meta.url));
  // It fails with its own words.
  execFileSync(process.execPath, [script, "--check"], { stdio: "inherit" });
});

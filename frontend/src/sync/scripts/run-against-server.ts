// The scripts that a real server can be brought to, at a real server: DAYBOOK_BIN names the program. What they then
// hold to the contract is both sides: the frames that a script hands in must really come.

import { expect, test } from "vitest";
import { ServerWorld } from "./server-world.ts";
import { loadScripts, whole } from "./vocabulary.ts";

const binary = process.env.DAYBOOK_BIN;
const scripts = loadScripts();

if (binary === undefined || binary === "") {
  console.warn("skipped: DAYBOOK_BIN names no daybook to play against");
  test.skip("scripts at a real server", () => {});
} else {
  for (const [name, script] of scripts) {
    if (script.server !== true) continue;
    test(`${name}: ${script.name}`, async () => {
      const { begin, steps } = whole(scripts, name);
      const world = await ServerWorld.begin(binary, begin);
      try {
        for (const [number, step] of steps.entries()) {
          await world.play(step).catch((error: Error) => {
            throw new Error(`step ${number + 1} (${step.say ?? JSON.stringify(step.do ?? step.frames)}): ${error.message}`);
          });
        }
        expect(world.surprises()).toEqual([]);
        // After a reset nobody asks for a job that is no more.
        expect(await world.strangers()).toEqual([]);
      } finally {
        await world.end();
      }
    });
  }
}

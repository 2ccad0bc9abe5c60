// Plays every script in the fake world: each step must bring out exactly the calls that it names.

import { describe, expect, test } from "vitest";
import { FakeWorld } from "./fake-world.ts";
import { RULES } from "./rules.ts";
import { loadScripts, matches, whole, type Fields, type Script } from "./vocabulary.ts";

const scripts = loadScripts();

async function play(script: Script): Promise<void> {
  const world = new FakeWorld(script.begin);
  for (const [number, step] of script.steps.entries()) {
    await world.play(step);
    const wanted = step.out ?? [];
    const seen = world.calls.map((call) => JSON.parse(JSON.stringify(call)) as Fields);
    // Compared as a whole, so that a failure shows what else came.
    if (!matches([...wanted], seen)) {
      expect(seen, `step ${number + 1}: ${step.say ?? JSON.stringify(step.do ?? step.frames)}`).toEqual(wanted);
      throw new Error("equal, and yet no match: the vocabulary is broken");
    }
    expect(world.failures).toEqual([]);
  }
}

describe("scripts", () => {
  for (const [name, script] of scripts) test(`${name}: ${script.name}`, () => play(whole(scripts, name)));
});

test("every rule is held by a script", () => {
  const held = new Set([...scripts.values()].flatMap(({ rules }) => rules));
  expect(Object.keys(RULES).map(Number).filter((rule) => !held.has(rule))).toEqual([]);
  expect([...held].filter((rule) => !(rule in RULES))).toEqual([]);
});

test("a script that expects something else fails", async () => {
  const script = scripts.get("snapshot-then-live");
  if (script === undefined) throw new Error("the script is gone");
  const steps = script.steps.map((step) => ({ ...step, out: (step.out ?? []).slice(1) }));
  await expect(play({ ...script, steps })).rejects.toThrow();
});

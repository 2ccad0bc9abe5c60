import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { numberOf, plural, wordsOfEvent } from "./words.ts";

test("events are told in words", () => {
  expect(wordsOfEvent({ type: "job.started", data: { worker: "crane-1", attempt: 2 } })).toBe("was started by crane-1, attempt 2");
  expect(wordsOfEvent({ type: "job.attempt_lost", data: { cause: "server_restarted" } })).toBe("lost its run: server restarted");
  expect(wordsOfEvent({ type: "epoch.started", data: { clean_shutdown: false } })).toContain("killed");
});

test("a type that came after us keeps its name, and data of another shape does no harm", () => {
  expect(wordsOfEvent({ type: "job.teleported", data: {} })).toBe("job.teleported");
  const types = readdirSync(fileURLToPath(new URL("../../../schemas/events", import.meta.url)));
  for (const file of types) expect(wordsOfEvent({ type: file.replace(".json", ""), data: { cause: {}, name: [], percent: null } })).not.toMatch(/object|undefined|null/);
});

test("numbers", () => {
  expect([numberOf(48213), plural(1, "event"), plural(1200, "event")]).toEqual(["48,213", "1 event", "1,200 events"]);
});

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { numberOf, plural, wordsOfEvent } from "./words.ts";

test("events are told in words", () => {
  expect(wordsOfEvent({ type: "job.started", data: { worker: "crane-1", attempt: 2 } })).toBe("was started by crane-1, attempt 2");
  expect(wordsOfEvent({ type: "job.attempt_lost", data: { cause: "server_restarted" } })).toBe("lost its run: server restarted");
  expect(wordsOfEvent({ type: "epoch.started", data: { clean_shutdown: false } })).toContain("killed");
});

/** What is said of the examples that the server's own events are described with. */
const SAID: Readonly<Record<string, string>> = {
  "job.started": "was started by crane-1, attempt 2",
  "job.progressed": "is at 12.5 %, upscale",
  "job.file_stored": "stored the file out.png",
  "job.attempt_failed": "timed out in its attempt 2",
  "job.attempt_lost": "lost its run: process died",
  "worker.left": "A worker left: connection lost",
};

test("the events that the server describes are told with what is in them", () => {
  for (const [type, words] of Object.entries(SAID)) {
    const { examples } = JSON.parse(readFileSync(new URL(`../../../schemas/events/${type}.json`, import.meta.url), "utf8")) as { examples: { data: Record<string, unknown> }[] };
    expect(wordsOfEvent({ type, data: examples[0]?.data ?? {} }), type).toBe(words);
  }
});

test("a type that came after us keeps its name, and data of another shape does no harm", () => {
  expect(wordsOfEvent({ type: "job.teleported", data: {} })).toBe("job.teleported");
  const types = readdirSync(fileURLToPath(new URL("../../../schemas/events", import.meta.url)));
  for (const file of types) expect(wordsOfEvent({ type: file.replace(".json", ""), data: { cause: {}, name: [], percent: null } })).not.toMatch(/object|undefined|null/);
});

test("numbers", () => {
  expect([numberOf(48213), plural(1, "event"), plural(1200, "event")]).toEqual(["48,213", "1 event", "1,200 events"]);
});

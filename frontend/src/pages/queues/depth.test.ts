import { expect, test } from "vitest";
import type { QueueRow } from "../../api/types.gen.ts";
import { depthOf, gateOf, nameOf, sharesOf } from "./depth.ts";

const depth = { running: 2, queued: 6, retryable: 0, scheduled: 1, blocked: 0 };
const since = { at: "2026-11-22T06:00:00.000Z", by: { type: "client", id: null } } as const;

test("a bar shows the states that there are, against the longest queue", () => {
  expect(depthOf(depth)).toBe(9);
  expect(sharesOf(depth, 20).map(({ state, percent }) => [state, percent])).toEqual([
    ["running", 10],
    ["queued", 30],
    ["scheduled", 5],
  ]);
});

test("one job among a million is seen", () => {
  expect(sharesOf({ ...depth, running: 1, queued: 1_000_000 }, 1_000_001)[0]).toMatchObject({ state: "running", percent: 1 });
});

test("a queue may be paused and drain at the same time", () => {
  const gate = (paused: boolean, draining: boolean) => gateOf({ paused: paused ? since : null, draining: draining ? since : null } as QueueRow);
  expect([gate(false, false), gate(true, false), gate(false, true), gate(true, true)]).toEqual(["open", "paused", "draining", "both"]);
});

test("actors have names, or are one of their sort", () => {
  expect([nameOf({ type: "client", id: null }), nameOf({ type: "client", id: "ops" }), nameOf({ type: "server", id: null }), nameOf({ type: "schedule", id: "nightly" })]).toEqual([
    "a client",
    "ops",
    "the server",
    "schedule nightly",
  ]);
});

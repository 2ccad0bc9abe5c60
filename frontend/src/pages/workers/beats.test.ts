import { expect, test } from "vitest";
import type { WorkerRow } from "../../api/types.gen.ts";
import { beatsOf, isLate, silenceOf } from "./beats.ts";

const worker = (session: string, last_beat_at: string) => ({ session, last_beat_at }) as WorkerRow;
const HERE = Date.parse("2026-11-22T09:00:00Z");

test("a worker's silence is measured by the server's clock, and goes on by ours", () => {
  const beats = beatsOf({ workers: [worker("a", "2026-11-22T06:00:00.000Z")], restarting: [], beat_s: 10 }, "Sun, 22 Nov 2026 06:00:04 GMT", HERE);
  expect(silenceOf(beats, "a", HERE)).toBe(4);
  expect(silenceOf(beats, "a", HERE + 22_000)).toBe(26);
});

test("a worker is late by the beats that its server wants, whatever its lease", () => {
  const silentFor10 = [worker("a", "2026-11-22T08:59:50.000Z")];
  const isLateWith = (beat_s: number) => isLate(beatsOf({ workers: silentFor10, restarting: [], beat_s }, null, HERE), "a", HERE);
  expect([3, 4.5, 4.6, 10, 200].map(isLateWith)).toEqual([true, true, false, false, false]);
});

test("a worker that was not in the answer is not called late", () => {
  const beats = beatsOf({ workers: [], restarting: [], beat_s: 10 }, null, HERE);
  expect([silenceOf(beats, "a", HERE), silenceOf(undefined, "a", HERE)]).toEqual([null, null]);
});

test("without the server's clock ours has to do", () => {
  const beats = beatsOf({ workers: [worker("a", "2026-11-22T08:59:50.000Z")], restarting: [], beat_s: 10 }, null, HERE);
  expect(silenceOf(beats, "a", HERE)).toBe(10);
});

import { expect, test } from "vitest";
import { nextStep } from "./play.ts";

const event = (seq: number, second: number) => ({ seq, at: new Date(Date.UTC(2026, 10, 22) + second * 1000).toISOString() });
const log = [event(2, 0.1), event(3, 0.2), event(4, 0.9), event(5, 3600)];

test("what happens within one step is one step", () => {
  expect(nextStep(event(1, 0), log, 1)).toMatchObject({ seq: 3, waitMs: 250 });
  expect(nextStep(event(1, 0), log, 10)).toMatchObject({ seq: 4, waitMs: 250 });
});

test("the pace is that of the log, and idle times are cut short", () => {
  expect(nextStep(event(3, 0.2), log, 1)).toMatchObject({ seq: 4, waitMs: expect.closeTo(700) });
  expect(nextStep(event(4, 0.9), log, 100)).toMatchObject({ seq: 5, waitMs: 1000 });
});

test("after the last event there is no step", () => {
  expect(nextStep(event(5, 3600), log, 1)).toBeNull();
});

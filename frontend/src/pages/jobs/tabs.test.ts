import { expect, test } from "vitest";
import { countOfStates, nextStates } from "./tabs.tsx";

const counts = { scheduled: 1, queued: 2, blocked: 0, running: 3, retryable: 0, completed: 40, failed: 5, cancelled: 0 };

test("one state is chosen alone, or beside the others, or taken away", () => {
  expect(nextStates("failed", ["queued"], false)).toEqual(["failed"]);
  expect(nextStates("failed", ["queued"], true)).toEqual(["queued", "failed"]);
  expect(nextStates("queued", ["queued", "failed"], true)).toEqual(["failed"]);
  expect(nextStates("failed", ["failed"], true)).toBeUndefined();
  expect(nextStates("all", ["failed"], true)).toBeUndefined();
});

test("what matches is counted once", () => {
  expect(countOfStates(undefined, counts)).toBe(51);
  expect(countOfStates(["active", "queued", "failed"], counts)).toBe(11);
  expect(countOfStates(["failed"], null)).toBeNull();
});

import { expect, test } from "vitest";
import { outcomeOf } from "./outcome.ts";

const job = { state: "completed", result: null, error: null, reason: null } as const;
const error = { code: "broken", message: "the disk is full", details: null, retryable: false, attempt: 1 };

test("a completed job shows its result, in one short line", () => {
  expect(outcomeOf({ ...job, result: { answer: 42 } })).toBe('{"answer":42}');
  expect(outcomeOf({ ...job, result: "done" })).toBe("done");
  expect(outcomeOf(job)).toBe("no result");
  expect(outcomeOf({ ...job, result: "x".repeat(500) })).toHaveLength(80);
});

test("any other shows what went wrong, or why it ended", () => {
  expect(outcomeOf({ ...job, state: "failed", error, reason: "attempts_exhausted" })).toBe("the disk is full");
  expect(outcomeOf({ ...job, state: "cancelled", reason: "cancelled_by_request" })).toBe("cancelled by request");
});

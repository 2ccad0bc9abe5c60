import { expect, test } from "vitest";
import type { ScheduleRow } from "../../api/types.gen.ts";
import { draftOf, faultsOf, losesOnTurn, requestOf, turned } from "./draft.ts";

const row = {
  name: "nightly",
  cron: "30 2 * * *",
  time_zone: "Europe/Berlin",
  job: { kind: "resize", args: { size: 3 } },
  missed: "all",
  overlap: "skip",
} as unknown as ScheduleRow;

test("a schedule goes into the form and comes out as it was", () => {
  const { name, cron, time_zone, job, missed, overlap } = row;
  expect(requestOf(draftOf(row))).toEqual({ body: { name, cron, time_zone, job, missed, overlap } });
});

test("a job with more than kind and args is written as a whole", () => {
  const draft = draftOf({ ...row, job: { ...row.job, priority: 5 } });
  expect(draft.whole).toBe(true);
  expect(requestOf(draft)).toMatchObject({ body: { job: { kind: "resize", args: { size: 3 }, priority: 5 } } });
  expect(losesOnTurn(draft)).toBe(true);
});

test("the two ways of writing a job keep what is written", () => {
  const draft = draftOf(row);
  expect(losesOnTurn(draft)).toBe(false);
  expect(turned(turned(draft))).toEqual(draft);
});

test("what is not JSON is said at its field, and not sent", () => {
  const outcome = requestOf({ ...draftOf(row), args: "{size: 3}" });
  expect(outcome).toMatchObject({ faults: { args: [expect.stringContaining("This is not JSON")] } });
});

test("the server's problems come to their fields", () => {
  const errors = [
    { pointer: "/cron", message: "must have five" },
    { pointer: "/job/args/steps", message: "must be a number" },
    { pointer: "/job/kind", message: "is unknown" },
    { pointer: "/nonsense", message: "is unknown" },
  ];
  expect(faultsOf(draftOf(row), "invalid_request", errors, "")).toEqual({
    cron: ["must have five"],
    args: ["/steps must be a number"],
    kind: ["is unknown"],
    other: ["/nonsense is unknown"],
  });
  expect(faultsOf({ ...draftOf(row), whole: true }, "invalid_request", errors.slice(1, 3), "")).toEqual({
    job: ["/args/steps must be a number", "/kind is unknown"],
  });
});

test("a problem without pointers has a place as well", () => {
  expect(faultsOf(draftOf(row), "schedule_exists", [], "there is one")).toEqual({ name: ["there is one"] });
  expect(faultsOf(draftOf(row), "overloaded", [], "later")).toEqual({ other: ["later"] });
});

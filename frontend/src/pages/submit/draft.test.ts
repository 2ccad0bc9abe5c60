import { expect, test } from "vitest";
import { Unread } from "../../form/values.ts";
import { bodyOf, PLAIN, roomOf } from "./draft.ts";
import { placeOf } from "./errors.tsx";

test("what was not touched is not sent", () => {
  expect(bodyOf({ kind: " resize ", args: { a: 1, b: undefined }, advanced: PLAIN })).toEqual({ body: { kind: "resize", args: { a: 1 } }, faults: [] });
});

test("the advanced part is sent as the API wants it", () => {
  const advanced = { ...PLAIN, priority: "-5", tags: "a, b,,", depends_on: "x\ny", when: "delay", delay_s: "1.5", unique_key: "k", scheduled_at: "2026-01-01T00:00" } as const;
  expect(bodyOf({ kind: "k", args: {}, advanced }).body).toEqual({ kind: "k", args: {}, priority: -5, tags: ["a", "b"], depends_on: ["x", "y"], delay_s: 1.5, unique_key: "k" });
});

test("what cannot be sent is named at its field", () => {
  const { faults } = bodyOf({ kind: "", args: { n: new Unread("x") }, advanced: { ...PLAIN, priority: "high", when: "at" } });
  expect(faults.map(({ pointer }) => pointer)).toEqual(["/args/n", "/kind", "/priority", "/scheduled_at"]);
  expect(bodyOf({ kind: "k", args: [1], advanced: PLAIN }).faults[0]?.pointer).toBe("/args");
});

test("where a fault is reads as words", () => {
  expect(["/args/frames/0/a~1b", "/args", "/priority"].map(placeOf)).toEqual(["frames › 0 › a/b", "arguments", "priority"]);
});

test("files have as much room as the job's args, or as the kind says for its own", () => {
  expect(roomOf({}, null)).toBeGreaterThan(12_000_000);
  const schema = { "x-daybook-base64": { properties: ["image", "images"], max_total_bytes: 1000 } };
  expect(roomOf({ image: "x".repeat(100), images: ["y".repeat(50)] }, schema)).toBe(850);
});

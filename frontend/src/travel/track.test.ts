import { expect, test } from "vitest";
import { bucketNear, bucketOf, clampSeq, heightsOf, placeOf, seqAt } from "./track.ts";

const empty = { first_seq: null, last_seq: null };
const buckets = [{ first_seq: 5, last_seq: 5 }, empty, { first_seq: 6, last_seq: 9 }, empty];

test("an event is in its bucket, or behind the last before it", () => {
  expect([4, 5, 6, 9, 20].map((seq) => bucketOf(buckets, seq))).toEqual([-1, 0, 2, 2, 2]);
  expect([4, 5, 6, 9].map((seq) => placeOf(buckets, seq))).toEqual([0, 0.25, 0.5625, 0.75]);
});

test("a place names the event there, in an empty bucket the last before it", () => {
  expect([0, 0.1, 0.3, 0.51, 0.7, 0.9, 1, 7].map((place) => seqAt(buckets, place, 5))).toEqual([5, 5, 5, 6, 9, 9, 9, 9]);
  expect(seqAt([empty, ...buckets], 0.05, 5)).toBe(5);
  expect(seqAt([], 0.5, 3)).toBe(3);
});

test("what is told of is the nearest bucket with events, within reach", () => {
  expect([-1, 0, 0.3, 0.6, 0.8, 1].map((place) => bucketNear(buckets, place, 1))).toEqual([0, 0, 0, 2, 2, 2]);
  expect([bucketNear([empty, empty, ...buckets], 0, 1), bucketNear([empty, empty, ...buckets], 0, 2)]).toEqual([0, 2]);
});

test("from an event to its place and back is the same event", () => {
  for (const seq of [5, 6, 7, 8, 9]) expect(seqAt(buckets, placeOf(buckets, seq) - 1e-9, 5)).toBe(seq);
});

test("heights are roots of the counts, and seqs stay within the log", () => {
  expect(heightsOf(buckets)).toEqual([0.5, 0, 1, 0]);
  expect([1, 7.4, 99].map((seq) => clampSeq(seq, 5, 9))).toEqual([5, 7, 9]);
});

// Where events are on the scrubber: the timeline's buckets laid out side by side, each as wide as the others, and the
// events of a bucket evenly within it. From a seq to a place (0 to 1) and back. Pure.

import type { Bucket } from "../api/types.gen.ts";

type Span = Pick<Bucket, "first_seq" | "last_seq">;

export function countOf({ first_seq, last_seq }: Span): number {
  return first_seq === null || last_seq === null ? 0 : last_seq - first_seq + 1;
}

/** The bucket that has this event, or the nearest before it; -1 before the first. */
export function bucketOf(buckets: readonly Span[], seq: number): number {
  let found = -1;
  for (const [index, { first_seq }] of buckets.entries()) {
    if (first_seq === null) continue;
    if (first_seq > seq) break;
    found = index;
  }
  return found;
}

export function placeOf(buckets: readonly Span[], seq: number): number {
  const index = bucketOf(buckets, seq);
  const bucket = buckets[index];
  if (bucket === undefined) return 0;
  const within = (seq - (bucket.first_seq ?? 0) + 1) / countOf(bucket);
  return (index + Math.min(1, within)) / buckets.length;
}

/** The event at a place: in a bucket without any, the last before it. */
export function seqAt(buckets: readonly Span[], place: number, earliest: number): number {
  const exact = Math.min(1, Math.max(0, place)) * buckets.length;
  const index = Math.min(buckets.length - 1, Math.floor(exact));
  const bucket = buckets[index];
  if (bucket !== undefined && bucket.first_seq !== null) {
    return bucket.first_seq + Math.min(countOf(bucket) - 1, Math.max(0, Math.ceil((exact - index) * countOf(bucket)) - 1));
  }
  const before = buckets.slice(0, Math.max(0, index)).findLast(({ last_seq }) => last_seq !== null);
  return before?.last_seq ?? earliest;
}

/** The bucket to tell of at a place: an empty one within reach of others gives way to the nearest, as it is hard to hit. */
export function bucketNear(buckets: readonly Span[], place: number, reach: number): number {
  const under = Math.min(buckets.length - 1, Math.max(0, Math.floor(place * buckets.length)));
  for (let far = 0; far <= reach; far++) {
    for (const index of [under - far, under + far]) if ((buckets[index]?.first_seq ?? null) !== null) return index;
  }
  return under;
}

/** Heights from 0 to 1. The root keeps single events visible beside a burst. */
export function heightsOf(buckets: readonly Span[]): readonly number[] {
  const most = Math.max(1, ...buckets.map(countOf));
  return buckets.map((bucket) => Math.sqrt(countOf(bucket) / most));
}

export function clampSeq(seq: number, earliest: number, last: number): number {
  return Math.min(last, Math.max(earliest, Math.round(seq)));
}

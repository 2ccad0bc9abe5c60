// The bars of the scrubber, as two paths: what was before the moment, and what came after it.

import { memo } from "react";
import type { Bucket } from "../api/types.gen.ts";
import { bucketOf, heightsOf } from "./track.ts";

/** Bars leave this much of a bucket's width empty, so that single ones can be told apart. */
const GAP = 0.15;
/** Of the height, so that a single event is a bar and not a line. */
const LEAST = 0.08;

function pathOf(heights: readonly number[], from: number, to: number): string {
  const bars: string[] = [];
  for (let index = from; index < to; index++) {
    const height = heights[index] ?? 0;
    if (height === 0) continue;
    const top = 1 - Math.max(LEAST, height);
    bars.push(`M${index} 1V${top.toFixed(3)}H${(index + 1 - GAP).toFixed(2)}V1Z`);
  }
  return bars.join("");
}

export const Histogram = memo(function Histogram({ buckets, at }: { buckets: readonly Bucket[]; at: number }) {
  const heights = heightsOf(buckets);
  const split = bucketOf(buckets, at) + 1;
  return (
    <svg aria-hidden="true" viewBox={`0 0 ${Math.max(1, buckets.length)} 1`} preserveAspectRatio="none" className="absolute inset-0 size-full">
      <path d={pathOf(heights, 0, split)} className="fill-amber" />
      <path d={pathOf(heights, split, buckets.length)} className="fill-edge opacity-60" />
    </svg>
  );
});

// The log as a histogram of its events, with a thumb at the moment that is looked at. It moves at once, and tells where
// it stands when it has rested.

import { useEffect, useRef, useState, type KeyboardEvent, type PointerEvent } from "react";
import type { TimelineBody } from "../api/types.gen.ts";
import { clock } from "../ui/index.ts";
import { Histogram } from "./histogram.tsx";
import { bucketNear, bucketOf, clampSeq, countOf, placeOf, seqAt } from "./track.ts";
import { numberOf } from "./words.ts";

/** What is looked at is asked for after this rest. */
const REST_MS = 80;

interface Props {
  readonly timeline: TimelineBody;
  readonly at: number;
  /** Where the thumb is while it moves. */
  readonly onMove: (seq: number) => void;
  readonly onRest: (seq: number) => void;
}

export function momentOf({ buckets }: TimelineBody, seq: number): Date | null {
  const bucket = buckets[bucketOf(buckets, seq)];
  if (bucket === undefined || bucket.first_at === null || bucket.last_at === null) return null;
  const [from, to] = [Date.parse(bucket.first_at), Date.parse(bucket.last_at)];
  const within = countOf(bucket) < 2 ? 1 : (seq - (bucket.first_seq ?? seq)) / (countOf(bucket) - 1);
  return new Date(from + (to - from) * Math.min(1, within));
}

/** The thumb's own place: it follows the hand at once, the address when it rests. */
function useThumb({ timeline, at, onMove, onRest }: Props) {
  const [seq, setSeq] = useState(at);
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  const frame = useRef(0);
  useEffect(() => setSeq(at), [at]);
  useEffect(
    () => () => {
      if (timer.current !== null) clearTimeout(timer.current);
      cancelAnimationFrame(frame.current);
    },
    [],
  );
  const move = (to: number): void => {
    const next = clampSeq(to, timeline.earliest, timeline.seq);
    setSeq(next);
    onMove(next);
    if (timer.current !== null) clearTimeout(timer.current);
    timer.current = setTimeout(() => onRest(next), REST_MS);
  };
  /** Once a frame, however often the hand moves. */
  const drag = (to: number): void => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => move(to));
  };
  return { seq, move, drag };
}

export function Scrubber(props: Props) {
  const { timeline } = props;
  const { buckets, earliest } = timeline;
  const { seq, move, drag } = useThumb(props);
  const [hover, setHover] = useState<number | null>(null);
  const held = useRef(false);
  const placeUnder = (event: PointerEvent<HTMLElement>): number => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    return (event.clientX - left) / width;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const to = keyed(event.key, seq, timeline);
    if (to === null) return;
    event.preventDefault();
    move(to);
  };
  const time = momentOf(timeline, seq);
  const place = placeOf(buckets, seq);
  return (
    <div
      role="slider"
      tabIndex={0}
      aria-label="Moment in the log"
      aria-valuemin={earliest}
      aria-valuemax={timeline.seq}
      aria-valuenow={clampSeq(seq, earliest, timeline.seq)}
      aria-valuetext={`event ${numberOf(seq)}${time === null ? "" : `, ${clock(time, new Date())}`}`}
      onKeyDown={onKeyDown}
      onPointerDown={(event) => {
        held.current = true;
        event.currentTarget.setPointerCapture(event.pointerId);
        move(seqAt(buckets, placeUnder(event), earliest));
      }}
      onPointerMove={(event) => {
        const under = placeUnder(event);
        setHover(under);
        if (held.current) drag(seqAt(buckets, under, earliest));
      }}
      onPointerUp={() => (held.current = false)}
      onPointerCancel={() => (held.current = false)}
      onPointerLeave={() => setHover(null)}
      className="relative h-11 w-full cursor-pointer touch-none rounded bg-sunken select-none"
    >
      <Histogram buckets={buckets} at={seq} />
      <span aria-hidden="true" style={{ left: `${place * 100}%` }} className="absolute inset-y-0 -ml-px w-0.5 bg-amber">
        <span className="absolute -top-1 -left-[5px] size-3 rounded-full border-2 border-surface bg-amber" />
      </span>
      {hover === null ? null : <Hover timeline={timeline} place={hover} />}
    </div>
  );
}

/** Where a key leads; null: it is none of ours. Pages are buckets in which something happened. */
export function keyed(key: string, seq: number, { buckets, earliest, seq: last }: TimelineBody): number | null {
  const index = bucketOf(buckets, seq);
  switch (key) {
    case "ArrowLeft":
    case "ArrowDown":
      return seq - 1;
    case "ArrowRight":
    case "ArrowUp":
      return seq + 1;
    case "Home":
      return earliest;
    case "End":
      return last;
    case "PageDown":
      return buckets.slice(0, Math.max(0, index)).findLast(({ last_seq }) => last_seq !== null)?.last_seq ?? earliest;
    case "PageUp":
      return buckets.find(({ last_seq }) => last_seq !== null && last_seq > seq)?.last_seq ?? last;
    default:
      return null;
  }
}

/** What happened under the pointer, by type, most first. */
const TYPES_MAX = 6;
/** In buckets, each of which is 1 to 4 pixels wide. */
const HOVER_REACH = 2;

function Hover({ timeline: { buckets }, place }: { timeline: TimelineBody; place: number }) {
  const bucket = buckets[bucketNear(buckets, place, HOVER_REACH)];
  if (bucket === undefined) return null;
  const types = Object.entries(bucket.counts).sort(([, a], [, b]) => b - a);
  const side = place > 0.5 ? { right: `${(1 - place) * 100}%` } : { left: `${place * 100}%` };
  return (
    <div style={side} className="pointer-events-none absolute top-full z-30 mt-1 min-w-44 rounded-md border border-line bg-surface px-2.5 py-1.5 text-xs shadow-lg">
      <p className="font-semibold">{clock(new Date(bucket.first_at ?? bucket.from), new Date())}</p>
      <p className="text-muted">{bucket.first_seq === null ? "nothing happened" : `events ${numberOf(bucket.first_seq)} to ${numberOf(bucket.last_seq ?? 0)}`}</p>
      {types.slice(0, TYPES_MAX).map(([type, count]) => (
        <p key={type} className="flex justify-between gap-4">
          <span>{type}</span>
          <span>{numberOf(count)}</span>
        </p>
      ))}
      {types.length > TYPES_MAX ? <p className="text-muted">and {types.length - TYPES_MAX} other types</p> : null}
    </div>
  );
}

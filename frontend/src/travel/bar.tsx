// The bar of time travel, on every page that is looked at in the past: which moment, what happened there, the scrubber,
// and the ways on: step by step, playing, comparing, back to live.

import { Link, useLocation } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { getTimeline, listLog } from "../api/index.ts";
import type { PublishedEvent, TimelineBody } from "../api/types.gen.ts";
import { useShortcut } from "../app/shortcuts.ts";
import { useApi, useWorld } from "../hooks/index.ts";
import { Ago, Button, clock, Icon, IconButton } from "../ui/index.ts";
import { useTravel } from "./at.ts";
import { Compare } from "./compare.tsx";
import { isLost, NoSuchMoment } from "./missing.tsx";
import { SPEEDS, usePlay, type Speed } from "./play.ts";
import { momentOf, Scrubber } from "./scrubber.tsx";
import { clampSeq } from "./track.ts";
import { numberOf, shortId, wordsOfEvent } from "./words.ts";

const BUCKETS = 400;
const GROWS_MS = 15_000;
/** A phone has room for one. */
const PHONE_SPEED: Speed = 10;
/** The pages that show the past. */
const SHOWING = /^\/(jobs|queues|workers)(\/|$)/;

function useEvent(at: number) {
  return useApi(["event", at], async (api, options) => (await listLog(api, { after: at - 1, limit: 1 }, options)).events[0] ?? null, { keep: true });
}

export default function TravelBar({ at }: { at: number }) {
  const { to, travel } = useTravel();
  const { data: timeline, refetch } = useApi(["timeline"], (api, options) => getTimeline(api, BUCKETS, options), { everyMs: GROWS_MS, keep: true });
  const { data: found, error, isPlaceholderData } = useEvent(at);
  const [moving, setMoving] = useState<number | null>(null);
  const event = found?.seq === at && !isPlaceholderData ? found : null;
  const [earliest, last] = [timeline?.earliest ?? 1, Math.max(timeline?.seq ?? at, event === null ? 1 : at)];
  const go = (seq: number): void => travel(clampSeq(seq, earliest, last));
  useKeys(at, go, () => travel(null));
  useMoment(event?.at ?? null);
  useLost(error, () => void refetch());
  const missing = error !== null || (found !== undefined && !isPlaceholderData && found?.seq !== at);
  return (
    <section aria-label="Time travel" className="grid shrink-0 gap-1.5 border-b-2 border-amber bg-surface px-3 py-2 sm:px-4">
      <div className="flex min-w-0 flex-wrap items-center gap-x-3 gap-y-1.5">
        <Where at={moving ?? at} event={moving === null || moving === at ? event : null} timeline={timeline} />
        <Controls at={at} event={event} go={go} earliest={earliest} last={last} onCompare={() => travel(at, last)} onLive={() => travel(null)} />
      </div>
      {missing ? (
        <NoSuchMoment at={at} error={error} earliest={earliest} last={timeline?.seq ?? null} go={(seq) => travel(seq)} />
      ) : (
        <Event event={event} />
      )}
      {timeline === undefined || timeline.buckets.length === 0 ? (
        <div className="h-11 rounded bg-sunken" />
      ) : (
        <Scrubber
          timeline={timeline}
          at={at}
          onMove={setMoving}
          onRest={(seq) => {
            setMoving(null);
            if (seq !== at) go(seq);
          }}
        />
      )}
      {timeline === undefined ? null : <Ends timeline={timeline} />}
      <Compare at={at} to={to} earliest={earliest} last={last} onChange={(from, other) => travel(from, other)} />
    </section>
  );
}

/** Retention may have gone past the moment: where the log begins by now is asked for at once, and said. */
function useLost(error: unknown, look: () => void): void {
  const again = useRef(look);
  again.current = look;
  const lost = isLost(error);
  useEffect(() => {
    if (lost) again.current();
  }, [lost]);
}

/** Tells the page when it is. */
function useMoment(at: string | null): void {
  const { moment } = useWorld();
  useEffect(() => moment.set(at), [moment, at]);
  useEffect(() => () => moment.set(null), [moment]);
}

function useKeys(at: number, go: (seq: number) => void, live: () => void): void {
  useShortcut("[", "One event back", "Time travel", () => go(at - 1));
  useShortcut("]", "One event on", "Time travel", () => go(at + 1));
  useShortcut(".", "Back to live", "Time travel", live);
  useShortcut("Escape", "Back to live", "Time travel", live);
}

function Where({ at, event, timeline }: { at: number; event: PublishedEvent | null; timeline: TimelineBody | undefined }) {
  const moment = event?.at ?? (timeline === undefined ? null : (momentOf(timeline, at)?.toISOString() ?? null));
  const { pathname } = useLocation();
  return (
    <p className="flex min-w-0 flex-wrap items-center gap-x-2 text-sm">
      <span className="flex items-center gap-1.5 font-semibold text-warn">
        <Icon name="travel" />
        {SHOWING.test(pathname) ? "Viewing" : "This page shows the present; others show"} event {numberOf(at)}
      </span>
      {moment === null ? null : (
        <span className="text-muted">
          {"· "}
          {clock(new Date(moment), new Date())} (<Ago at={moment} />)
        </span>
      )}
    </p>
  );
}

function Event({ event }: { event: PublishedEvent | null }) {
  return (
    <p data-event-seq={event?.seq} className="min-h-5 truncate text-sm">
      {event === null ? (
        <span className="text-muted">…</span>
      ) : (
        <>
          {event.job_id === null ? null : (
            <>
              Job{" "}
              <Link to="/jobs/$id" params={{ id: event.job_id }} className="text-accent underline underline-offset-2">
                {shortId(event.job_id)}
              </Link>{" "}
            </>
          )}
          {wordsOfEvent(event)} <span className="text-muted">by {event.actor.type}</span>
        </>
      )}
    </p>
  );
}

interface ControlsProps {
  readonly at: number;
  readonly event: PublishedEvent | null;
  readonly earliest: number;
  readonly last: number;
  readonly go: (seq: number) => void;
  readonly onCompare: () => void;
  readonly onLive: () => void;
}

function Controls({ at, event, earliest, last, go, onCompare, onLive }: ControlsProps) {
  const [speed, setSpeed] = useState<Speed | null>(null);
  usePlay(speed, event ?? null, go, () => setSpeed(null));
  return (
    <div role="group" aria-label="Moving in time" className="ml-auto flex flex-wrap items-center gap-1">
      <IconButton icon="back" label="One event back ([)" disabled={at <= earliest} onClick={() => go(at - 1)} />
      <IconButton icon="forward" label="One event on (])" disabled={at >= last} onClick={() => go(at + 1)} />
      {SPEEDS.map((one) => (
        <button
          key={one}
          type="button"
          aria-pressed={speed === one}
          title={speed === one ? "Stop playing" : `Play ${one} times as fast as it was; idle times are cut short`}
          disabled={speed === null && (event === null || at >= last)}
          onClick={() => setSpeed(speed === one ? null : one)}
          className={`h-8 rounded-md px-1.5 text-sm disabled:opacity-50 ${one === PHONE_SPEED ? "" : "max-sm:hidden"} ${speed === one ? "bg-chosen font-semibold" : "text-muted hover:bg-hover hover:text-ink"}`}
        >
          {speed === one ? "■" : "▸"} {one}×
        </button>
      ))}
      <Button onClick={onCompare}>Compare</Button>
      <Button look="main" onClick={onLive} aria-label="Back to live" title="Back to live (. or Esc)">
        <span className="max-sm:hidden">Back to live</span>
        <span className="sm:hidden">Live</span>
      </Button>
    </div>
  );
}

/** Where the log begins and ends, and what it no longer has. */
function Ends({ timeline: { buckets, earliest, seq, complete } }: { timeline: TimelineBody }) {
  const first = buckets[0]?.first_at ?? buckets[0]?.from;
  return (
    <p className="flex flex-wrap justify-between gap-x-4 text-xs text-muted">
      <span>
        {earliest > 1 ? `Events before ${numberOf(earliest)} are no longer in the log · ` : ""}
        {complete ? "" : "What is older is still being read · "}
        {first === undefined ? "" : clock(new Date(first), new Date())}
      </span>
      <span>
        event {numberOf(seq)} is the last · live
      </span>
    </p>
  );
}

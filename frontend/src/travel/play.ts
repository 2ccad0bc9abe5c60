// Playing the log from a moment on, at its own pace or faster; where nothing happens the wait is cut short. The steps
// are no closer than one can see and the server likes.

import { useEffect, useRef } from "react";
import { listLog } from "../api/index.ts";
import type { PublishedEvent } from "../api/types.gen.ts";
import { useWorld } from "../hooks/index.ts";

export const SPEEDS = [1, 10, 100] as const;
export type Speed = (typeof SPEEDS)[number];

/** Between two steps at least, whatever the speed. */
const STEP_MS = 250;
/** The longest that one waits for the next event. */
const IDLE_MS = 1_000;
const PAGE = 200;

type Moment = Pick<PublishedEvent, "seq" | "at">;

/**
 * The next step from `from`: the last of the events that happen within one step, or else the very next one after the
 * wait that the log has, cut to `IDLE_MS`. Null: there is none.
 */
export function nextStep(from: Moment, events: readonly Moment[], speed: Speed): { readonly seq: number; readonly at: string; readonly waitMs: number } | null {
  const after = events.filter(({ seq }) => seq > from.seq);
  const begin = Date.parse(from.at);
  const due = after.findLast(({ at }) => (Date.parse(at) - begin) / speed <= STEP_MS) ?? after[0];
  if (due === undefined) return null;
  const waitMs = Math.min(IDLE_MS, Math.max(STEP_MS, (Date.parse(due.at) - begin) / speed));
  return { seq: due.seq, at: due.at, waitMs };
}

/** Plays while `speed` is not null; `onEnd` when there is nothing more. */
export function usePlay(speed: Speed | null, from: Moment | null, onStep: (seq: number) => void, onEnd: () => void): void {
  const { api } = useWorld();
  const latest = useRef({ from, onStep, onEnd });
  latest.current = { from, onStep, onEnd };
  useEffect(() => {
    if (speed === null || latest.current.from === null) return;
    const ended = new AbortController();
    const run = async (): Promise<void> => {
      let here: Moment | null = latest.current.from;
      let events: readonly Moment[] = [];
      while (here !== null && !ended.signal.aborted) {
        if ((events.at(-1)?.seq ?? 0) <= here.seq) events = (await listLog(api, { after: here.seq, limit: PAGE }, { signal: ended.signal })).events;
        const step = nextStep(here, events, speed);
        if (step === null) break;
        await pause(step.waitMs, ended.signal);
        const now = latest.current.from;
        if (now !== null && now.seq !== here.seq) {
          // Somebody went elsewhere meanwhile: it goes on from there.
          here = now;
          events = [];
          continue;
        }
        latest.current.onStep(step.seq);
        here = step;
      }
      latest.current.onEnd();
    };
    // What fails here fails for the page as well, and is shown there.
    run().catch(() => {
      if (!ended.signal.aborted) latest.current.onEnd();
    });
    return () => ended.abort();
  }, [speed, api]);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}

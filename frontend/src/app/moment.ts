// The moment that the address names: handed to the world, so that everything shows the same one; entered from now, and
// left when its log is no more.

import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useLayoutEffect, useRef } from "react";
import { getHealth } from "../api/index.ts";
import { useAge, useWorld } from "../hooks/index.ts";
import type { AtSearch } from "./search.ts";

export interface Moment {
  /** Null: now. */
  readonly at: number | null;
  /** From now to the last event of the log, from where one can go back. */
  readonly lookBack: () => void;
}

export function useMoment(): Moment {
  const world = useWorld();
  const { log } = useAge();
  const { at } = useSearch({ strict: false });
  const navigate = useNavigate();
  const go = useCallback(
    (seq: number | undefined) => void navigate({ to: ".", replace: seq === undefined, search: (before: AtSearch) => ({ ...before, at: seq, to: undefined }) }),
    [navigate],
  );
  // Before anything is painted: rows of the past and of now are kept apart.
  useLayoutEffect(() => world.at.set(at ?? null), [world, at]);
  const mine = useRef(log);
  useEffect(() => {
    if (mine.current === log) return;
    mine.current = log;
    if (at !== undefined) go(undefined);
  }, [log, at, go]);
  const lookBack = useCallback(() => {
    if (world.at.get() !== null) return;
    getHealth(world.api).then(
      ({ seq }) => go(seq),
      () => void world.notices.say("error", "The past cannot be shown", "The server does not answer."),
    );
  }, [world, go]);
  return { at: at ?? null, lookBack };
}

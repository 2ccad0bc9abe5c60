// Going to a moment of the log and back. `travelTo(seq)` is for links and for `navigate`: the page stays, and shows
// things as they were after that event: `<Link to="." search={travelTo(event.seq)}>as of this event</Link>`.

import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";
import type { AtSearch } from "../app/search.ts";

/** The same address at another moment; null: now. */
export function travelTo(seq: number | null): <S extends AtSearch>(search: S) => S & AtSearch {
  return (search) => ({ ...search, at: seq ?? undefined, to: undefined });
}

export interface Travel {
  /** Null: now. */
  readonly at: number | null;
  /** The second moment of a comparison. */
  readonly to: number | null;
  readonly travel: (at: number | null, to?: number | null) => void;
}

export function useTravel(): Travel {
  const { at, to } = useSearch({ strict: false });
  const navigate = useNavigate();
  const travel = useCallback(
    (seq: number | null, other: number | null = null) =>
      void navigate({ to: ".", replace: true, search: (before: AtSearch) => ({ ...before, at: seq ?? undefined, to: other ?? undefined }) }),
    [navigate],
  );
  return { at: at ?? null, to: to ?? null, travel };
}

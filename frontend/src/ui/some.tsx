// The first rows of a table that is drawn whole, and a button for more: with thousands each change would draw them all.

import { useState, type ReactNode } from "react";
import { Button } from "./button.tsx";

/** So many at once. */
export const SOME_ROWS = 200;

export function useSome<R>(rows: readonly R[]): { readonly some: readonly R[]; readonly more: ReactNode } {
  const [shown, setShown] = useState(SOME_ROWS);
  const left = rows.length - shown;
  if (left <= 0) return { some: rows, more: null };
  const more = (
    <div className="flex flex-wrap items-center justify-center gap-3 p-3 text-sm text-muted">
      {shown.toLocaleString("en")} of {rows.length.toLocaleString("en")}
      <Button onClick={() => setShown(shown + SOME_ROWS)}>Show {Math.min(SOME_ROWS, left).toLocaleString("en")} more</Button>
    </div>
  );
  return { some: rows.slice(0, shown), more };
}

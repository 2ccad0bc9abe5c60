// What went wrong, in the server's own words, with its hint and a way on.

import { ApiProblem } from "../api/problem.ts";
import { Button } from "./button.tsx";
import { Icon } from "./icon.tsx";

export function wordsOf(error: unknown): { readonly title: string; readonly hint: string | null } {
  // The bar of time travel says where the log begins by now, and leads there.
  if (error instanceof ApiProblem && error.code === "position_lost") return { title: "This moment is no longer in the log.", hint: null };
  if (error instanceof ApiProblem) return { title: error.detail, hint: error.hint };
  if (error instanceof Error) return { title: error.message, hint: null };
  return { title: "something went wrong", hint: null };
}

/** `again`: the word on the button. */
export function ProblemBox({ error, onRetry, again = "Try again" }: { error: unknown; onRetry?: () => void; again?: string }) {
  const { title, hint } = wordsOf(error);
  return (
    <div role="alert" className="m-4 flex items-start gap-2 rounded-md border border-line bg-surface p-3">
      <Icon name="warning" className="mt-0.5 text-bad" />
      <div className="grid min-w-0 flex-1 gap-1">
        <p className="font-medium break-words">{title}</p>
        {hint === null ? null : <p className="text-sm text-muted">{hint}</p>}
        {error instanceof ApiProblem ? <p className="font-mono text-xs text-muted">{error.code}</p> : null}
      </div>
      {onRetry === undefined ? null : <Button onClick={onRetry}>{again}</Button>}
    </div>
  );
}

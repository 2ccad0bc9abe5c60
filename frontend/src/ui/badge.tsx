// The state of a job: icon, word and colour, in this order of importance.

import type { StateName } from "../api/types.gen.ts";
import { Icon } from "./icon.tsx";

/** Whole names of classes: the style sheet is made of those that it finds in the text. */
export const STATE_COLOURS: Readonly<Record<StateName, string>> = {
  scheduled: "text-later",
  queued: "text-waiting",
  blocked: "text-waiting",
  running: "text-running",
  retryable: "text-warn",
  completed: "text-good",
  failed: "text-bad",
  cancelled: "text-stopped",
};

/** `cancelling`: somebody asked a running job to stop, and it has not yet. */
export function StateBadge({ state, cancelling = false }: { state: StateName; cancelling?: boolean }) {
  const stopping = cancelling && state === "running";
  return (
    <span className={`inline-flex items-center gap-1.5 align-middle whitespace-nowrap ${stopping ? "text-warn" : STATE_COLOURS[state]}`}>
      <Icon name={stopping ? "cancelled" : state} className={state === "running" && !stopping ? "turning" : ""} />
      {stopping ? "cancelling" : state}
    </span>
  );
}

/** A small word in a frame: a tag, a queue, a number of attempts. */
export function Chip({ children, title }: { children: React.ReactNode; title?: string }) {
  return (
    <span title={title} className="inline-block max-w-40 truncate rounded border border-line bg-sunken px-1.5 align-middle text-xs text-muted">
      {children}
    </span>
  );
}

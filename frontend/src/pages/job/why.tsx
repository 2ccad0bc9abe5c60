// Why the job does not run yet, or why it ended as it did: the server's sentence, and the facts it follows from.

import type { JobRow } from "../../api/types.gen.ts";
import { getWhy, isTerminal } from "../../api/index.ts";
import { useApi, useQueues } from "../../hooks/index.ts";
import { JsonView } from "../../ui/json-view.tsx";
import { Icon, ProblemBox, unturned } from "../../ui/index.ts";

/** What a waiting job waits for may change without an event of its own: a queue, a limit, those before it. */
const WAITING_MS = 5_000;

export function Reasons({ row }: { row: JobRow }) {
  return isTerminal(row.state) || row.state === "running" ? <Sentence row={row} waits={false} /> : <Waiting row={row} />;
}

/** What is done to its queue is known at once. */
function Waiting({ row }: { row: JobRow }) {
  const queue = useQueues().rows.find(({ name }) => name === row.queue);
  return <Sentence row={row} waits of={queue === undefined ? "" : JSON.stringify([queue.paused?.at, queue.draining?.at, queue.concurrency])} />;
}

function Sentence({ row, waits, of = "" }: { row: JobRow; waits: boolean; of?: string }) {
  const { id, state, reason, lost_count, attempt, priority, queue, scheduled_at, cancel_requested_at } = row;
  const key = ["why", id, state, reason, lost_count, attempt, priority, queue, scheduled_at, cancel_requested_at, of];
  const why = useApi(key, (api, options) => getWhy(api, id, options), { keep: true, ...(waits ? { everyMs: WAITING_MS } : {}) });
  if (why.data === undefined) return why.isError ? <ProblemBox error={why.error} onRetry={() => void why.refetch()} /> : null;
  const facts = Object.fromEntries(Object.entries(why.data.facts).filter(([, value]) => value !== null));
  return (
    <section aria-label="Why" className="grid min-w-0 gap-1">
      <p className="flex items-start gap-2">
        <Icon name="info" className="mt-0.5 text-muted" />
        <span className="min-w-0 break-words">{unturned(why.data.sentence)}</span>
      </p>
      <details className="pl-6 text-sm">
        <summary className="text-muted hover:text-ink">Facts</summary>
        <div className="mt-2">
          <JsonView value={facts} label="facts" />
        </div>
      </details>
    </section>
  );
}

// The strip of active jobs, the same on every page. A first form: how many run, and the newest of them.

import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { useJobRow, useReadable, useWorld } from "../../hooks/index.ts";
import { Progress, StateBadge } from "../../ui/index.ts";

export function Strip() {
  const { active } = useWorld();
  useEffect(() => active.open(), [active]);
  const { ids } = useReadable(active.view);
  if (ids.length === 0) return null;
  return (
    <section aria-label="Active jobs" className="flex shrink-0 items-center gap-2 border-b border-line bg-sunken px-3 py-1.5 sm:px-4">
      <h2 className="text-xs font-semibold whitespace-nowrap text-muted">Active</h2>
      <ul className="flex min-w-0 gap-2 overflow-x-auto">
        {ids.map((id) => (
          <StripJob key={id} id={id} />
        ))}
      </ul>
    </section>
  );
}

function StripJob({ id }: { id: string }) {
  const row = useJobRow(id);
  if (row === undefined) return null;
  return (
    <li className="shrink-0" data-active-job-id={id} data-state={row.state}>
      <Link to="/jobs/$id" params={{ id }} className="grid w-40 gap-1 rounded-md border border-line bg-surface px-2 py-1 hover:bg-hover">
        <span className="flex items-center justify-between gap-2 text-xs">
          <span className="truncate font-medium">{row.kind}</span>
          <StateBadge state={row.state} cancelling={row.cancel_requested_at !== null} />
        </span>
        {row.state === "running" ? <Progress percent={row.progress?.percent ?? null} label={`Progress of ${row.kind}`} /> : <span className="h-1.5" />}
      </Link>
    </li>
  );
}

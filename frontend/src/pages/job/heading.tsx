// The head of a job's page: what it is, and its state.

import { Link } from "@tanstack/react-router";
import type { JobRow } from "../../api/types.gen.ts";
import { Icon, StateBadge } from "../../ui/index.ts";

export function Heading({ row }: { row: JobRow }) {
  return (
    <>
      <Link to="/jobs" aria-label="All jobs" title="All jobs" className="inline-flex size-8 items-center justify-center rounded-md text-muted hover:bg-hover hover:text-ink">
        <Icon name="back" />
      </Link>
      <span className="font-semibold">{row.kind}</span>
      <StateBadge state={row.state} cancelling={row.cancel_requested_at !== null} />
      <span className="min-w-0 truncate font-mono text-sm text-muted">{row.id}</span>
    </>
  );
}

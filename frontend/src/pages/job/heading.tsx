// The head of a job's page: what it is, its state, and its id to take along.

import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { JobRow } from "../../api/types.gen.ts";
import { copyText, Icon, IconButton, StateBadge } from "../../ui/index.ts";

export function Heading({ row }: { row: JobRow }) {
  return (
    <div className="flex min-w-0 items-center gap-x-3 max-sm:w-full">
      <Link to="/jobs" aria-label="All jobs" title="All jobs" className="inline-flex size-8 shrink-0 items-center justify-center rounded-md text-muted hover:bg-hover hover:text-ink">
        <Icon name="back" />
      </Link>
      <span title={row.kind} className="min-w-0 truncate font-semibold max-sm:flex-1">
        {row.kind}
      </span>
      <StateBadge state={row.state} cancelling={row.cancel_requested_at !== null} />
      <span className="flex min-w-0 items-center max-sm:hidden">
        <Id id={row.id} />
      </span>
    </div>
  );
}

/** In the head, or on a phone among the facts. */
export function Id({ id }: { id: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <>
      <span className="min-w-0 truncate font-mono text-xs text-muted">{id}</span>
      <IconButton icon={copied ? "completed" : "copy"} label={copied ? "Copied the id" : "Copy the id"} onClick={() => void copyText(id).then(setCopied)} />
    </>
  );
}

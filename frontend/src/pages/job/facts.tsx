// What a list knows of a job, as a list of terms; only those that say something.

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { JobRow } from "../../api/types.gen.ts";
import { Ago, Chip, span, Time, Took, useNarrow } from "../../ui/index.ts";
import { Id } from "./heading.tsx";

/** Dependencies that are named; there may be many. */
const NAMED = 10;

export function Facts({ row }: { row: JobRow }) {
  const narrow = useNarrow();
  // On a narrow page what came of the job stands first.
  return (
    <section aria-label="Facts" className="max-lg:order-last">
      <dl className="grid grid-cols-[7rem_minmax(0,1fr)] gap-x-4 gap-y-1.5 text-sm">
        {narrow ? (
          <Fact term="Id">
            <span className="-my-1.5 flex min-w-0 items-center">
              <Id id={row.id} />
            </span>
          </Fact>
        ) : null}
        <Fact term="Queue">{row.queue}</Fact>
        <Fact term="Priority">{row.priority}</Fact>
        <Fact term="Tags">{row.tags.length === 0 ? null : <span className="flex flex-wrap gap-1">{row.tags.map((tag) => <Chip key={tag} title={tag}>{tag}</Chip>)}</span>}</Fact>
        <Fact term="Attempt">{`${row.attempt} of ${row.max_attempts}`}</Fact>
        <Fact term="Losses">{(row.lost_count ?? 0) > 0 ? `${row.lost_count} of at most ${row.max_lost}` : null}</Fact>
        <Fact term="Reason">{row.reason?.replaceAll("_", " ") ?? null}</Fact>
        <Fact term="Worker">{row.worker === null ? null : <span title={row.worker.session}>{row.worker.name}</span>}</Fact>
        <Fact term="Items">{row.items === null || row.items.total === 0 ? null : itemsOf(row.items)}</Fact>
        <Moment term="Submitted" at={row.created_at} />
        <Moment term={row.state === "retryable" ? "Next attempt" : "Scheduled"} at={row.scheduled_at} />
        <Moment term="Queued" at={row.queued_at} />
        <Moment term="Started" at={row.started_at} />
        <Moment term="Cancel asked" at={row.cancel_requested_at} />
        <Moment term="Ended" at={row.finished_at} />
        <Fact term={row.finished_at === null ? "Runs for" : "Took"}>{row.started_at === null ? null : <Took from={row.started_at} to={row.finished_at} />}</Fact>
        <Moment term="Purged" at={row.purged_at} />
        <Fact term="Timeout">{row.timeout_s === null ? null : span(row.timeout_s)}</Fact>
        <Fact term="Unique key">{row.unique_key}</Fact>
        <Fact term="Parent">{row.parent_id === null ? null : <JobLink id={row.parent_id} />}</Fact>
        <Fact term="Depends on">{row.depends_on.length === 0 ? null : <Dependencies ids={row.depends_on} />}</Fact>
        <Fact term="Last event">{row.seq}</Fact>
      </dl>
    </section>
  );
}

function itemsOf(items: NonNullable<JobRow["items"]>): string {
  const parts = (["pending", "completed", "failed", "skipped"] as const).filter((state) => items[state] > 0).map((state) => `${items[state]} ${state}`);
  return `${items.total}: ${parts.join(", ")}`;
}

function Moment({ term, at }: { term: string; at: string | null }) {
  if (at === null) return null;
  return (
    <Fact term={term}>
      <Time at={at} />{" "}
      <span className="text-muted">
        (<Ago at={at} />)
      </span>
    </Fact>
  );
}

function JobLink({ id }: { id: string }) {
  return (
    <Link to="/jobs/$id" params={{ id }} className="block truncate font-mono text-xs leading-5 text-accent underline">
      {id}
    </Link>
  );
}

function Dependencies({ ids }: { ids: readonly string[] }) {
  return (
    <>
      {ids.slice(0, NAMED).map((id) => (
        <JobLink key={id} id={id} />
      ))}
      {ids.length > NAMED ? <span className="text-muted">and {ids.length - NAMED} more</span> : null}
    </>
  );
}

function Fact({ term, children }: { term: string; children: ReactNode }) {
  if (children === null) return null;
  return (
    <>
      <dt className="text-muted">{term}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </>
  );
}

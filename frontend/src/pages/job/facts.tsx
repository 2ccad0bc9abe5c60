// What a list knows of a job, as a list of terms; only those that say something.

import type { ReactNode } from "react";
import type { JobRow } from "../../api/types.gen.ts";
import { Ago, Chip, Progress, Time, Took } from "../../ui/index.ts";

export function Facts({ row }: { row: JobRow }) {
  const { progress } = row;
  return (
    <section aria-label="Facts" className="grid content-start gap-4">
      {row.state === "running" || progress !== null ? (
        <div className="grid gap-1.5">
          <div className="flex justify-between gap-2 text-sm">
            <span className="truncate">{progress?.message ?? progress?.stage ?? "Progress"}</span>
            <span>{progress?.percent === null || progress === null ? "" : `${Math.round(progress.percent)} %`}</span>
          </div>
          <Progress percent={progress?.percent ?? null} label="Progress" />
        </div>
      ) : null}
      <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1.5 text-sm">
        <Fact term="Queue">{row.queue}</Fact>
        <Fact term="Priority">{row.priority}</Fact>
        <Fact term="Attempt">{`${row.attempt} of ${row.max_attempts}`}</Fact>
        <Fact term="Lost">{row.lost_count === 0 ? null : row.lost_count}</Fact>
        <Fact term="Reason">{row.reason}</Fact>
        <Fact term="Error">{row.error === null ? null : <span className="break-words text-bad">{row.error.message}</span>}</Fact>
        <Fact term="Worker">{row.worker?.name ?? null}</Fact>
        <Fact term="Tags">{row.tags.length === 0 ? null : row.tags.map((tag) => <Chip key={tag}>{tag}</Chip>)}</Fact>
        <Fact term="Submitted">
          <Time at={row.created_at} /> <span className="text-muted">(<Ago at={row.created_at} />)</span>
        </Fact>
        <Fact term="Started">{row.started_at === null ? null : <Time at={row.started_at} />}</Fact>
        <Fact term="Ended">{row.finished_at === null ? null : <Time at={row.finished_at} />}</Fact>
        <Fact term="Took">{row.started_at === null ? null : <Took from={row.started_at} to={row.finished_at} />}</Fact>
      </dl>
    </section>
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

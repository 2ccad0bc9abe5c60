// The first tab: facts on the left; beside them why, error, preview, files, arguments and result.

import type { ReactNode } from "react";
import type { JobBody, JobError, JobRow } from "../../api/types.gen.ts";
import { Icon, Loading, ProblemBox } from "../../ui/index.ts";
import { JsonView } from "../../ui/json-view.tsx";
import { Facts } from "./facts.tsx";
import { Files } from "./files.tsx";
import { Preview } from "./preview.tsx";
import { Reasons } from "./why.tsx";

interface Props {
  readonly row: JobRow;
  readonly job: JobBody | undefined;
  readonly problem: unknown;
  readonly onRetry: () => void;
  readonly at: number | undefined;
}

export function Overview({ row, job, problem, onRetry, at }: Props) {
  const purged = row.purged_at !== null;
  return (
    <div className="min-h-0 flex-1 overflow-y-auto px-3 py-4 sm:px-4">
      <div className="grid gap-6 lg:grid-cols-[minmax(0,20rem)_minmax(0,1fr)]">
        <Facts row={row} />
        <div className="grid min-w-0 content-start gap-5">
          {at === undefined ? <Reasons row={row} /> : null}
          {row.error === null ? null : <Failure error={row.error} state={row.state} />}
          {at === undefined && row.progress?.preview != null ? <Preview row={row} /> : null}
          {row.files.length === 0 ? null : <Files row={row} />}
          {job === undefined && problem !== null ? <ProblemBox error={problem} onRetry={onRetry} /> : null}
          {job === undefined ? problem === null ? <Loading /> : null : <Payload job={job} purged={purged} />}
        </div>
      </div>
    </div>
  );
}

function Payload({ job, purged }: { job: JobBody; purged: boolean }) {
  if (purged) {
    return (
      <Block title="Arguments and result">
        <p className="text-sm text-muted">Purged: they are in no answer any more.</p>
      </Block>
    );
  }
  return (
    <>
      {job.state === "completed" ? (
        <Block title="Result">
          <JsonView value={job.result} label="result" />
        </Block>
      ) : null}
      <Block title="Arguments">
        <JsonView value={job.args} label="arguments" />
      </Block>
    </>
  );
}

function Failure({ error, state }: { error: JobError; state: JobRow["state"] }) {
  return (
    <Block title={state === "completed" ? "Error of an earlier attempt" : "Error"}>
      <div className="grid gap-1 rounded-md border border-line bg-surface p-3">
        <p className="flex items-start gap-2 font-medium break-words whitespace-pre-wrap">
          <Icon name="failed" className="mt-0.5 text-bad" />
          <span className="max-h-60 min-w-0 overflow-y-auto break-words">{error.message}</span>
        </p>
        <p className="text-sm text-muted">
          <span className="font-mono">{error.code}</span> · attempt {error.attempt} · {error.retryable ? "may be tried again" : "not to be tried again"}
        </p>
      </div>
      {error.details === null || error.details === undefined ? null : <JsonView value={error.details} label="error details" />}
    </Block>
  );
}

export function Block({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title} className="grid min-w-0 gap-2">
      <h2 className="text-sm font-semibold">{title}</h2>
      {children}
    </section>
  );
}

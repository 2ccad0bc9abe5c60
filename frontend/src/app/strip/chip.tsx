// One job on the strip: active with how far it is and a way to cancel it, or ended with what came of it.

import { Link } from "@tanstack/react-router";
import { memo } from "react";
import { cancelJob } from "../../api/calls.ts";
import type { Api } from "../../api/index.ts";
import type { JobBody, JobRow } from "../../api/types.gen.ts";
import { useAction, useLiveRow } from "../../hooks/index.ts";
import { Icon, Progress, StateBadge } from "../../ui/index.ts";
import { outcomeOf } from "./outcome.ts";

const CHIP = "flex shrink-0 items-center rounded-md border border-line bg-surface pr-1 hover:border-edge sm:w-56";
const LINK = "grid h-10 min-w-0 flex-1 content-center gap-0.5 rounded-md px-2 text-xs";
const BUTTON = "inline-flex size-7 shrink-0 items-center justify-center rounded text-muted hover:bg-hover hover:text-ink disabled:opacity-40";

const cancel = (api: Api, id: string): Promise<unknown> => cancelJob(api, id);

export const ActiveJob = memo(function ActiveJob({ id }: { id: string }) {
  const row = useLiveRow(id);
  const { run, busy, blocked } = useAction(cancel, "The job was not cancelled");
  if (row === undefined) return null;
  const asked = row.cancel_requested_at !== null;
  const reason = asked ? "It was asked to stop" : blocked;
  return (
    <li className={CHIP} data-active-job-id={id} data-state={row.state}>
      <Link to="/jobs/$id" params={{ id }} search={{ at: undefined }} className={LINK}>
        <Names kind={row.kind} row={row} cancelling={asked} />
        <Doing row={row} />
      </Link>
      <button
        type="button"
        aria-label={`Cancel ${row.kind} ${id.slice(-6)}`}
        title={reason ?? "Cancel"}
        disabled={busy || reason !== undefined}
        onClick={() => void run(id)}
        className={BUTTON}
      >
        <Icon name="cancelled" />
      </button>
    </li>
  );
});

function Names({ kind, row, cancelling = false }: { kind: string; row: Pick<JobRow, "state">; cancelling?: boolean }) {
  return (
    <span className="flex min-w-0 items-center justify-between gap-2">
      <span className="truncate font-medium">{kind}</span>
      <StateBadge state={row.state} cancelling={cancelling} />
    </span>
  );
}

function Doing({ row }: { row: JobRow }) {
  const { progress } = row;
  if (row.state !== "running") return <span className="truncate text-muted">{row.queue}</span>;
  const words = [progress?.stage, progress?.message].filter((one) => one != null && one !== "").join(": ");
  return (
    <span className="flex min-w-0 items-center gap-2">
      <span className="w-16 shrink-0">
        <Progress percent={progress?.percent ?? null} label={`Progress of ${row.kind}`} />
      </span>
      {progress?.percent == null ? null : <span className="shrink-0">{Math.round(progress.percent)} %</span>}
      <span className="truncate text-muted">{words}</span>
    </span>
  );
}

export function EndedJob({ job, onDismiss }: { job: JobBody; onDismiss: () => void }) {
  const { id, kind } = job;
  return (
    <li className={`${CHIP} border-dashed`} data-ended-job-id={id} data-state={job.state}>
      <Link to="/jobs/$id" params={{ id }} search={{ at: undefined }} title="It ended while you were away" className={LINK}>
        <Names kind={kind} row={job} />
        <span className="truncate text-muted">{outcomeOf(job)}</span>
      </Link>
      <button type="button" aria-label={`Dismiss ${kind} ${id.slice(-6)}`} title="Dismiss" onClick={onDismiss} className={BUTTON}>
        <Icon name="close" />
      </button>
    </li>
  );
}

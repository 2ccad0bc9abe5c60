// How far a job is, above all tabs as long as it runs: bar, percent, stage, message, done of total.

import type { JobRow } from "../../api/types.gen.ts";
import { Progress } from "../../ui/index.ts";

export function ProgressStrip({ row }: { row: JobRow }) {
  const { progress } = row;
  if (row.state !== "running") return null;
  const { percent = null, stage = null, message = null, done = null, total = null } = progress ?? {};
  const counted = done === null ? null : total === null ? `${done} done` : `${done} of ${total}`;
  return (
    <div className="grid shrink-0 gap-1.5 border-b border-line px-3 py-2 text-sm sm:px-4">
      <div className="flex min-w-0 items-baseline gap-3">
        {stage === null ? null : <span className="max-w-1/3 shrink-0 truncate font-medium">{stage}</span>}
        <span className="min-w-0 flex-1 truncate text-muted" title={message ?? undefined}>
          {message ?? (stage === null ? "Running" : "")}
        </span>
        {counted === null ? null : <span className="shrink-0 text-muted">{counted}</span>}
        {percent === null ? null : <span className="w-10 shrink-0 text-right">{Math.round(percent)} %</span>}
      </div>
      <Progress percent={percent} label="Progress of the job" />
    </div>
  );
}

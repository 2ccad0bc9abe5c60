// What a job was given and what it gave.

import type { ReactNode } from "react";
import type { JobBody } from "../../api/types.gen.ts";
import { JsonView } from "../../ui/json-view.tsx";

export function Payload({ job }: { job: JobBody }) {
  return (
    <div className="grid content-start gap-6">
      <Block title="Arguments">{job.purged_at === null ? <JsonView value={job.args} label="arguments" /> : <Purged />}</Block>
      {job.state === "completed" ? <Block title="Result">{job.purged_at === null ? <JsonView value={job.result} label="result" /> : <Purged />}</Block> : null}
      {job.error === null ? null : (
        <Block title="Error">
          <JsonView value={job.error} label="error" />
        </Block>
      )}
    </div>
  );
}

function Block({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="grid gap-2">
      <h2 className="text-sm font-semibold">{title}</h2>
      {children}
    </div>
  );
}

function Purged() {
  return <p className="text-sm text-muted">Purged: it is in no answer any more.</p>;
}

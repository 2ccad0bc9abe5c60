// The questions before a job is cancelled, retried or purged: what will happen, and what else may go along.

import { useState, type ReactNode } from "react";
import { cancelJob, purgeJob, retryJob } from "../../api/index.ts";
import type { Api } from "../../api/index.ts";
import type { JobRow } from "../../api/types.gen.ts";
import { Button, Dialog, ProblemBox, size } from "../../ui/index.ts";
import type { Allowed } from "./actions.tsx";
import { useTry } from "./try.ts";

interface Props {
  readonly row: JobRow;
  readonly open: boolean;
  readonly onClose: () => void;
}

interface AskProps {
  readonly open: boolean;
  readonly onClose: () => void;
  readonly title: string;
  readonly verb: string;
  readonly danger?: boolean;
  readonly call: (api: Api) => Promise<unknown>;
  readonly children: ReactNode;
}

function Ask({ open, onClose, title, verb, danger = false, call, children }: AskProps) {
  const { busy, problem, run, clear } = useTry();
  const close = (): void => {
    clear();
    onClose();
  };
  const go = async (): Promise<void> => {
    if (await run(call)) close();
  };
  const foot = (
    <>
      <Button onClick={close}>Not now</Button>
      <Button look={danger ? "danger" : "main"} disabled={busy} data-first="" onClick={() => void go()}>
        {verb}
      </Button>
    </>
  );
  return (
    <Dialog open={open} title={title} onClose={close} foot={foot}>
      <div className="grid gap-3 text-sm">{children}</div>
      {problem === null ? null : <ProblemBox error={problem} />}
    </Dialog>
  );
}

function Check({ label, hint, on, set }: { label: string; hint: string; on: boolean; set: (on: boolean) => void }) {
  return (
    <label className="flex items-start gap-2">
      <input type="checkbox" checked={on} onChange={(event) => set(event.target.checked)} className="mt-1 accent-(--accent)" />
      <span>
        {label}
        <span className="block text-muted">{hint}</span>
      </span>
    </label>
  );
}

export function CancelDialog({ row, open, onClose }: Props) {
  const [children, setChildren] = useState(false);
  return (
    <Ask open={open} onClose={onClose} title="Cancel this job?" verb="Cancel the job" danger call={(api) => cancelJob(api, row.id, children ? { children } : {})}>
      <p>{row.state === "running" ? "Its worker is asked to stop. If it completes all the same, its result counts." : "It will not run."}</p>
      <Check label="Its children as well" hint="All active jobs below it in the tree." on={children} set={setChildren} />
    </Ask>
  );
}

export function RetryDialog({ row, can, open, onClose }: Props & { readonly can: Allowed }) {
  const [dependents, setDependents] = useState(false);
  const [onlyItems, setOnlyItems] = useState(false);
  const items = can.retryItems && (onlyItems || !can.retry);
  const undone = (row.items?.failed ?? 0) + (row.items?.skipped ?? 0);
  const body = { ...(items ? { only_failed_items: true } : {}), ...(dependents ? { dependents } : {}) };
  return (
    <Ask open={open} onClose={onClose} title="Retry this job?" verb={items ? "Retry the items" : "Retry the job"} call={(api) => retryJob(api, row.id, body)}>
      <p>{items ? `Its ${undone} failed and skipped items are run again; those that are completed stay.` : "It is queued again, and its attempts are counted from the first."}</p>
      {can.retryItems && can.retry ? <Check label="Failed items only" hint={`${undone} of ${row.items?.total ?? 0}; those that are completed stay.`} on={onlyItems} set={setOnlyItems} /> : null}
      <Check label="Its dependents as well" hint="Jobs that were cancelled because this one did not complete." on={dependents} set={setDependents} />
    </Ask>
  );
}

export function PurgeDialog({ row, open, onClose }: Props) {
  const bytes = row.files.reduce((sum, file) => sum + file.size, 0);
  return (
    <Ask open={open} onClose={onClose} title="Purge this job?" verb="Purge for good" danger call={(api) => purgeJob(api, row.id)}>
      <p>This cannot be undone. What goes, from every answer and from the disk:</p>
      <ul className="list-inside list-disc">
        <li>its arguments and its result</li>
        {row.items === null || row.items.total === 0 ? null : <li>the arguments, results and errors of its {row.items.total} items</li>}
        <li>{row.files.length === 0 ? "output files (it has none)" : `its ${row.files.length} output files (${size(bytes)})`}</li>
        <li>all lines of its log, its checkpoint and its preview</li>
      </ul>
      <p>What stays: that there was such a job, its state and times, and a note in its timeline that it was purged.</p>
    </Ask>
  );
}

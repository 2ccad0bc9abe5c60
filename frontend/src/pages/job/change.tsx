// Priority, queue and tags of a job that waits, changed in a small dialog; the server's errors land on their fields.

import { useId, useState, type FormEvent } from "react";
import { amendJob, ApiProblem } from "../../api/index.ts";
import type { AmendRequest, JobRow } from "../../api/types.gen.ts";
import { Button, CONTROL, Dialog, Field, ProblemBox } from "../../ui/index.ts";
import { useTry } from "./try.ts";

interface Props {
  readonly row: JobRow;
  readonly open: boolean;
  readonly onClose: () => void;
}

/** Only what differs. */
export function changeOf(row: JobRow, priority: string, queue: string, tags: string): AmendRequest {
  const list = [...new Set(tags.split("\n").map((tag) => tag.trim()))].filter((tag) => tag !== "");
  return {
    ...(Number(priority) === row.priority ? {} : { priority: Number(priority) }),
    ...(queue.trim() === row.queue ? {} : { queue: queue.trim() }),
    ...(list.join("\n") === row.tags.join("\n") ? {} : { tags: list }),
  };
}

function errorsAt(problem: unknown, pointer: string): string[] {
  if (!(problem instanceof ApiProblem)) return [];
  return problem.errors.filter((one) => one.pointer.startsWith(pointer)).map((one) => one.message);
}

export function ChangeDialog({ row, open, onClose }: Props) {
  return (
    <Dialog open={open} title="Change this job" onClose={onClose}>
      {/* Drawn anew each time it opens: with the values of then. */}
      <Form row={row} onClose={onClose} />
    </Dialog>
  );
}

function Form({ row, onClose }: Omit<Props, "open">) {
  const [priority, setPriority] = useState(String(row.priority));
  const [queue, setQueue] = useState(row.queue);
  const [tags, setTags] = useState(row.tags.join("\n"));
  const { busy, problem, run } = useTry();
  const id = useId();
  const at = (pointer: string): string[] => errorsAt(problem, pointer);
  const placed = [...at("/priority"), ...at("/queue"), ...at("/tags")].length > 0;
  const send = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const body = changeOf(row, priority, queue, tags);
    if (Object.keys(body).length === 0 || (await run((api) => amendJob(api, row.id, body)))) onClose();
  };
  return (
    <form id={id} onSubmit={(event) => void send(event)} className="grid gap-3" noValidate>
      <Field label="Priority" hint="From -100 to 100; higher is sooner." errors={at("/priority")}>
        {(control) => <input {...control} type="number" min={-100} max={100} step={1} value={priority} onChange={(event) => setPriority(event.target.value)} className={CONTROL} />}
      </Field>
      <Field label="Queue" errors={at("/queue")}>
        {(control) => <input {...control} value={queue} onChange={(event) => setQueue(event.target.value)} className={CONTROL} />}
      </Field>
      <Field label="Tags" hint="One a line." errors={at("/tags")}>
        {(control) => <textarea {...control} rows={3} value={tags} onChange={(event) => setTags(event.target.value)} className={`${CONTROL} h-auto py-1`} />}
      </Field>
      {problem !== null && !placed ? <ProblemBox error={problem} /> : null}
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Not now</Button>
        <Button type="submit" look="main" disabled={busy}>
          Change
        </Button>
      </div>
    </form>
  );
}

// One schedule: a line of the table, or a card on a phone.

import { Link } from "@tanstack/react-router";
import type { FireOutcome, ScheduleRow } from "../../api/types.gen.ts";
import { Ago, Button, Icon, Time, type IconName } from "../../ui/index.ts";
import { Card, RowHead, Td } from "../../ui/table.tsx";
import { cronWords } from "./cron.ts";

interface Props {
  readonly row: ScheduleRow;
  readonly disabled: boolean;
  readonly onEdit: () => void;
  readonly onRemove: () => void;
}

export function ScheduleLine({ row, ...rest }: Props) {
  return (
    <tr data-schedule={row.name} data-origin={row.origin} className="hover:bg-hover">
      <RowHead className="max-w-44 min-w-28 break-words">{row.name}</RowHead>
      <Td className="max-w-56">
        <When row={row} />
      </Td>
      <Td className="max-w-56">
        <Job row={row} />
      </Td>
      <Td className="whitespace-nowrap">
        <Next row={row} />
      </Td>
      <Td className="max-w-64">
        <Last row={row} />
      </Td>
      <Td right className="w-px">
        <Actions row={row} {...rest} />
      </Td>
    </tr>
  );
}

export function ScheduleCard({ row, ...rest }: Props) {
  return (
    <Card data-schedule={row.name} data-origin={row.origin}>
      <div className="flex min-w-0 items-center justify-between gap-3">
        <span className="min-w-0 font-medium break-words">{row.name}</span>
        <Next row={row} />
      </div>
      <When row={row} />
      <Job row={row} />
      <Last row={row} />
      <Actions row={row} {...rest} />
    </Card>
  );
}

function When({ row }: { row: ScheduleRow }) {
  const words = cronWords(row.cron);
  return (
    <span className="block min-w-0">
      {words === null ? null : <span className="block">{words}</span>}
      <span className={`block text-xs break-words ${words === null ? "" : "text-muted"}`}>
        <code className="font-mono">{row.cron}</code> · {row.time_zone}
      </span>
    </span>
  );
}

function Job({ row }: { row: ScheduleRow }) {
  const { kind, args, ...rest } = row.job;
  const more = Object.keys(rest);
  const text = JSON.stringify(args ?? {});
  return (
    <span className="block min-w-0" title={JSON.stringify(row.job)}>
      <span className="block truncate font-medium">{String(kind)}</span>
      <span className="block truncate font-mono text-xs text-muted">
        {text === "{}" ? "no args" : text}
        {more.length === 0 ? "" : ` + ${more.join(", ")}`}
      </span>
    </span>
  );
}

function Next({ row }: { row: ScheduleRow }) {
  if (row.next_at === null) return <span className="text-muted">never again</span>;
  return (
    <span className="shrink-0 whitespace-nowrap">
      <Ago at={row.next_at} />
      <span className="block text-xs text-muted max-sm:hidden">
        <Time at={row.next_at} />
      </span>
    </span>
  );
}

const OUTCOMES: Readonly<Record<FireOutcome, { readonly icon: IconName; readonly words: string; readonly colour: string }>> = {
  submitted: { icon: "completed", words: "submitted", colour: "text-good" },
  skipped_overlap: { icon: "cancelled", words: "skipped: the job before still ran", colour: "text-stopped" },
  missed: { icon: "scheduled", words: "missed: the time had passed", colour: "text-warn" },
  failed: { icon: "failed", words: "refused", colour: "text-bad" },
};

function Last({ row }: { row: ScheduleRow }) {
  if (row.last_outcome === null) return <span className="text-muted">has not come yet</span>;
  const { icon, words, colour } = OUTCOMES[row.last_outcome];
  return (
    <span className="block min-w-0" data-outcome={row.last_outcome}>
      <span className={`flex items-center gap-1.5 ${colour}`}>
        <Icon name={icon} />
        {words}
      </span>
      <span className="block text-xs text-muted">
        {row.last_fired_at === null ? null : <Ago at={row.last_fired_at} />}
        {row.last_job_id === null ? null : (
          <>
            {" · "}
            <Link to="/jobs/$id" params={{ id: row.last_job_id }} title={`Job ${row.last_job_id}`} className="rounded text-accent underline underline-offset-2">
              last job
            </Link>
          </>
        )}
      </span>
      {row.last_error === null ? null : <span className="block text-xs break-words text-bad">{row.last_error.message}</span>}
    </span>
  );
}

function Actions({ row, disabled, onEdit, onRemove }: Props) {
  if (row.origin === "config") {
    return (
      <span title="It is changed in daybook.toml; SIGHUP makes the server read it again" className="inline-flex items-center gap-1.5 text-xs whitespace-nowrap text-muted">
        <Icon name="locked" />
        Read-only: of the configuration
      </span>
    );
  }
  return (
    <span className="flex justify-end gap-1.5">
      <Button look="quiet" icon="edit" aria-label={`Edit ${row.name}`} disabled={disabled} onClick={onEdit}>
        Edit
      </Button>
      <Button look="danger" icon="remove" aria-label={`Delete ${row.name}`} disabled={disabled} onClick={onRemove}>
        Delete
      </Button>
    </span>
  );
}

// One worker: a line of the table, or a card on a phone.

import { Link } from "@tanstack/react-router";
import { memo } from "react";
import type { WorkerRow, WorkerState } from "../../api/types.gen.ts";
import { Ago, Chip, Icon, type IconName } from "../../ui/index.ts";
import { Card, RowHead, Td } from "../../ui/table.tsx";
import { Actions } from "./actions.tsx";
import type { Beats } from "./beats.ts";
import { LateMark, Silence, useIsLate } from "./silence.tsx";

interface Props {
  readonly row: WorkerRow;
  readonly beats: Beats | undefined;
  readonly at: number | undefined;
}

export const WorkerLine = memo(function WorkerLine({ row, beats, at }: Props) {
  const late = useIsLate(beats, row.session);
  return (
    <tr data-worker={row.session} data-state={row.state} data-late={late ? "" : undefined} className="hover:bg-hover">
      <RowHead className="max-w-52">
        <Name row={row} />
      </RowHead>
      <Td className="whitespace-nowrap">
        <StateWords state={row.state} late={late} />
      </Td>
      <Td className="max-w-64">
        <Takes row={row} />
      </Td>
      <Td className="max-w-64">
        <Runs jobs={row.jobs} />
      </Td>
      <Td right className="whitespace-nowrap">
        {at === undefined ? <Silence beats={beats} row={row} /> : <span className="text-muted">not on record</span>}
      </Td>
      <Td right className="whitespace-nowrap text-muted max-md:hidden">
        <Ago at={row.joined_at} />
      </Td>
      <Td right className="w-px">
        <Actions row={row} disabled={at !== undefined} />
      </Td>
    </tr>
  );
});

export const WorkerCard = memo(function WorkerCard({ row, beats, at }: Props) {
  const late = useIsLate(beats, row.session);
  return (
    <Card data-worker={row.session} data-state={row.state} data-late={late ? "" : undefined}>
      <div className="flex min-w-0 items-center justify-between gap-3">
        <span className="min-w-0 font-medium">
          <Name row={row} />
        </span>
        <StateWords state={row.state} late={late} />
      </div>
      <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-3 gap-y-1">
        <dt className="text-muted">Takes</dt>
        <dd>
          <Takes row={row} />
        </dd>
        <dt className="text-muted">Runs</dt>
        <dd>
          <Runs jobs={row.jobs} />
        </dd>
      </dl>
      <div className="flex flex-wrap items-center justify-between gap-2 text-xs text-muted">
        <span>
          {at === undefined ? (
            <>
              Heard of <Silence beats={beats} row={row} />,{" "}
            </>
          ) : null}
          joined <Ago at={row.joined_at} />
        </span>
        <Actions row={row} disabled={at !== undefined} />
      </div>
    </Card>
  );
});

function Name({ row }: { row: WorkerRow }) {
  return (
    <>
      <span className="block truncate" title={row.name}>
        {row.name}
      </span>
      <span className="block truncate text-xs font-normal text-muted" title={`Session ${row.session}`}>
        {row.place === "subprocess" ? "child process" : "remote"} · <span className="font-mono">{tailOf(row.session)}</span>
      </span>
    </>
  );
}

const STATES: Readonly<Record<WorkerState, { readonly icon: IconName; readonly words: string; readonly colour: string; readonly title: string }>> = {
  run: { icon: "resume", words: "Takes jobs", colour: "text-good", title: "It is handed jobs" },
  quiet: { icon: "quiet", words: "Quiet", colour: "text-warn", title: "It ends what it has and gets no more" },
  terminate: { icon: "stop", words: "Terminating", colour: "text-bad", title: "It is told to give back what it has and to go" },
};

function StateWords({ state, late }: { state: WorkerState; late: boolean }) {
  const { icon, words, colour, title } = STATES[state];
  return (
    <span className="grid justify-items-start gap-0.5 max-sm:justify-items-end">
      <span title={title} className={`inline-flex items-center gap-1.5 whitespace-nowrap ${colour}`}>
        <Icon name={icon} />
        {words}
      </span>
      {late ? <LateMark /> : null}
    </span>
  );
}

function Takes({ row }: { row: WorkerRow }) {
  return (
    <span className="flex flex-wrap items-center gap-1">
      {row.kinds.length === 0 ? <span className="text-muted">every kind</span> : row.kinds.map((kind) => <Chip key={kind} title={`Kind ${kind}`}>{kind}</Chip>)}
      {row.queues === null ? null : (
        <>
          <span className="text-xs text-muted">from</span>
          {row.queues.map((queue) => (
            <Chip key={queue} title={`Queue ${queue}`}>
              {queue}
            </Chip>
          ))}
        </>
      )}
    </span>
  );
}

/** So many are named; the others are counted, and unfold. */
const NAMED = 3;

function Runs({ jobs }: { jobs: WorkerRow["jobs"] }) {
  if (jobs.length === 0) return <span className="text-muted">nothing</span>;
  return (
    <div className="flex flex-wrap items-center gap-x-2 gap-y-0.5">
      {jobs.slice(0, NAMED).map((id) => (
        <JobLink key={id} id={id} />
      ))}
      {jobs.length > NAMED ? (
        <details className="min-w-0 text-xs">
          <summary className="rounded text-muted">and {jobs.length - NAMED} more</summary>
          <div className="flex max-h-40 flex-wrap gap-x-2 overflow-y-auto">
            {jobs.slice(NAMED).map((id) => (
              <JobLink key={id} id={id} />
            ))}
          </div>
        </details>
      ) : null}
    </div>
  );
}

function JobLink({ id }: { id: string }) {
  return (
    <Link to="/jobs/$id" params={{ id }} title={`Job ${id}`} className="inline-flex items-center gap-1 rounded font-mono text-xs text-running underline-offset-2 hover:underline">
      <Icon name="running" size={12} />
      {tailOf(id)}
    </Link>
  );
}

/** Ids begin with the time: of those of one minute only the end differs. */
function tailOf(id: string): string {
  return `…${id.slice(-8)}`;
}

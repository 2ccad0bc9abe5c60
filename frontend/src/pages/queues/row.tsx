// One queue: a line of the table, or a card on a phone.

import { Link } from "@tanstack/react-router";
import { memo } from "react";
import type { PauseRow, QueueRow } from "../../api/types.gen.ts";
import { Ago, Icon, short, span, STATE_COLOURS, Took, type IconName } from "../../ui/index.ts";
import { Card, RowHead, Td } from "../../ui/table.tsx";
import { Actions } from "./actions.tsx";
import { gateOf, nameOf, sharesOf, type Gate } from "./depth.ts";

interface Props {
  readonly row: QueueRow;
  /** Of all queues, the depth of the longest. */
  readonly most: number;
  readonly at: number | undefined;
}

export const QueueLine = memo(function QueueLine({ row, most, at }: Props) {
  return (
    <tr data-queue={row.name} data-gate={gateOf(row)} className="hover:bg-hover">
      <RowHead className="max-w-52">
        <QueueLink name={row.name} />
      </RowHead>
      <Td className="w-44">
        <GateWords row={row} />
      </Td>
      <Td className="w-[34%]">
        <Bar row={row} most={most} />
      </Td>
      <Td right className="whitespace-nowrap">
        <Oldest row={row} at={at} />
      </Td>
      <Td right className="whitespace-nowrap max-md:hidden">
        <AtOnce row={row} />
      </Td>
      <Td className="max-md:hidden">
        <Pace row={row} />
      </Td>
      <Td right className="w-px">
        <Actions row={row} disabled={at !== undefined} />
      </Td>
    </tr>
  );
});

export const QueueCard = memo(function QueueCard({ row, most, at }: Props) {
  return (
    <Card data-queue={row.name} data-gate={gateOf(row)}>
      <div className="flex min-w-0 items-center justify-between gap-3">
        <span className="min-w-0 font-medium">
          <QueueLink name={row.name} />
        </span>
        <Actions row={row} disabled={at !== undefined} />
      </div>
      <GateWords row={row} />
      <Bar row={row} most={most} />
      <div className="flex flex-wrap gap-x-3 text-xs text-muted">
        {row.oldest_queued_at === null ? null : (
          <span>
            Oldest waits <Oldest row={row} at={at} />
          </span>
        )}
        {row.concurrency === null ? null : (
          <span>
            At once: <AtOnce row={row} />
          </span>
        )}
        {row.rate === null ? null : <Pace row={row} />}
      </div>
    </Card>
  );
});

function QueueLink({ name }: { name: string }) {
  return (
    <Link to="/jobs" search={{ queue: name, state: ["active"] }} title={`Active jobs of ${name}`} className="block rounded underline-offset-2 hover:underline max-sm:break-all sm:truncate">
      {name}
    </Link>
  );
}

const GATES: Readonly<Record<Gate, { readonly icon: IconName; readonly words: string; readonly colour: string }>> = {
  open: { icon: "resume", words: "Open", colour: "text-good" },
  paused: { icon: "pause", words: "Paused", colour: "text-warn" },
  draining: { icon: "drain", words: "Draining", colour: "text-later" },
  both: { icon: "pause", words: "Paused and draining", colour: "text-warn" },
};

function GateWords({ row }: { row: QueueRow }) {
  const { icon, words, colour } = GATES[gateOf(row)];
  const since = row.paused ?? row.draining;
  return (
    <span className="flex min-w-0 items-center gap-1.5 sm:items-start">
      <Icon name={icon} className={`sm:mt-0.5 ${colour}`} />
      <span className="min-w-0 max-sm:flex max-sm:gap-1.5">
        <span className={`block ${colour}`}>{words}</span>
        {since === null ? null : <Since since={since} />}
      </span>
    </span>
  );
}

function Since({ since }: { since: PauseRow }) {
  const by = nameOf(since.by);
  return (
    <span title={`by ${by}`} className="block truncate text-xs text-muted max-sm:leading-5 sm:max-w-40">
      <Ago at={since.at} /> by {by}
    </span>
  );
}

function Bar({ row, most }: { row: QueueRow; most: number }) {
  const shares = sharesOf(row.depth, most);
  if (shares.length === 0) return <span className="text-muted">empty</span>;
  return (
    <div className="grid gap-1">
      <div aria-hidden="true" className="flex h-1.5 w-full gap-px overflow-hidden rounded-full bg-line">
        {shares.map(({ state, percent }) => (
          <span key={state} className={`bg-current ${STATE_COLOURS[state]}`} style={{ width: `${percent}%` }} />
        ))}
      </div>
      <div className="flex flex-wrap gap-x-3">
        {shares.map(({ state, count }) => (
          <Link
            key={state}
            to="/jobs"
            search={{ queue: row.name, state: [state] }}
            title={`${count} ${state}`}
            data-depth={state}
            className={`inline-flex items-center gap-1 rounded text-xs whitespace-nowrap underline-offset-2 hover:underline ${STATE_COLOURS[state]}`}
          >
            <Icon name={state} size={12} />
            {short(count)} {state}
          </Link>
        ))}
      </div>
    </div>
  );
}

function Oldest({ row, at }: { row: QueueRow; at: number | undefined }) {
  if (row.oldest_queued_at === null) return <span className="text-muted">–</span>;
  // Of the past, the answer says how old it was then.
  return at === undefined ? <Took from={row.oldest_queued_at} to={null} /> : <>{span(row.oldest_age_s ?? 0)}</>;
}

function AtOnce({ row }: { row: QueueRow }) {
  if (row.concurrency === null) return <span className="text-muted">no limit</span>;
  const full = row.depth.running >= row.concurrency;
  return (
    <span title={`${row.depth.running} of at most ${row.concurrency} run`} className={full ? "font-medium" : ""}>
      {row.depth.running} of {row.concurrency}
      {full ? ", full" : ""}
    </span>
  );
}

function Pace({ row }: { row: QueueRow }) {
  if (row.rate === null) return <span className="text-muted">no limit</span>;
  return (
    <span className="block">
      {row.rate}
      {row.next_start_at === null ? null : (
        <span className="block text-xs text-muted max-sm:ml-1 max-sm:inline">
          next <Ago at={row.next_start_at} />
        </span>
      )}
    </span>
  );
}

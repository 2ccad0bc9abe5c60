// One job in the list: a line of columns, or a card of two lines on a phone.

import { memo } from "react";
import type { JobRow } from "../../api/types.gen.ts";
import { useJobRow } from "../../hooks/index.ts";
import { Cell, gridRow, HeadCell, type GridRowProps } from "../../ui/grid.tsx";
import { Ago, Chip, Progress, StateBadge, Took } from "../../ui/index.ts";
import { HeadBox, RowBox, useChosen } from "./choose.tsx";

export const LINE_PX = 36;
export const CARD_PX = 60;
/** Head and rows share their columns. Narrow windows leave out the later ones. */
const COLUMNS =
  "grid items-center gap-3 px-3 sm:px-4 grid-cols-[1rem_6.75rem_minmax(6rem,10rem)_4.5rem_minmax(0,1fr)_5.5rem_5.5rem] " +
  "md:grid-cols-[1rem_6.75rem_minmax(6rem,11rem)_4.5rem_minmax(0,1fr)_6rem_3rem_5.5rem_5.5rem] " +
  "lg:grid-cols-[1rem_6.75rem_minmax(7rem,11rem)_4.5rem_minmax(0,3fr)_minmax(0,2fr)_6rem_6.5rem_3rem_5.5rem_5.5rem]";
const MIDDLE = "max-md:hidden";
const WIDE = "max-lg:hidden";

const LINE = "border-b border-line cursor-pointer text-sm focus-visible:bg-hover";
const lineClass = (chosen: boolean): string => `${LINE} ${chosen ? "bg-chosen" : "hover:bg-hover"}`;

/** The end of an id tells jobs apart; its beginning is the time. */
const tail = (id: string): string => id.slice(-6);

export function Head() {
  return (
    <div role="row" aria-rowindex={1} className={`${COLUMNS} sticky top-0 z-10 h-8 border-b border-line bg-sunken text-xs font-semibold text-muted max-sm:sr-only`}>
      <div role="columnheader" aria-label="Selected">
        <HeadBox />
      </div>
      <HeadCell>State</HeadCell>
      <HeadCell>Kind</HeadCell>
      <HeadCell>Id</HeadCell>
      <HeadCell>Progress</HeadCell>
      <HeadCell className={WIDE}>Tags</HeadCell>
      <HeadCell className={MIDDLE}>Queue</HeadCell>
      <HeadCell className={WIDE}>Worker</HeadCell>
      <HeadCell className={`text-right ${MIDDLE}`}>Try</HeadCell>
      <HeadCell className="text-right">Ran</HeadCell>
      <HeadCell className="text-right">Submitted</HeadCell>
    </div>
  );
}

export const JobLine = memo(function JobLine(props: GridRowProps) {
  const row = useJobRow(props.id);
  const chosen = useChosen(props.id);
  if (row === undefined) return null;
  return (
    <div {...gridRow(props)} aria-selected={chosen} data-job-id={row.id} data-state={row.state} className={`${COLUMNS} ${lineClass(chosen)}`}>
      <div role="gridcell" className="grid">
        <RowBox id={row.id} name={`${row.kind} ${tail(row.id)}`} />
      </div>
      <LineCells row={row} />
    </div>
  );
});

/** Apart from the row's place: when rows come above, all below move, and nothing in them changes. */
const LineCells = memo(function LineCells({ row }: { row: JobRow }) {
  return (
    <>
      <Cell>
        <StateBadge state={row.state} cancelling={row.cancel_requested_at !== null} />
      </Cell>
      <Cell className="font-medium">
        <span title={row.kind}>{row.kind}</span>
      </Cell>
      <Cell className="font-mono text-xs text-muted">
        <span title={row.id}>{tail(row.id)}</span>
      </Cell>
      <Cell className="flex items-center gap-2">
        <Doing row={row} />
      </Cell>
      <Cell className={`flex gap-1 overflow-hidden ${WIDE}`}>
        {row.tags.map((tag) => (
          <Chip key={tag} title={tag}>
            {tag}
          </Chip>
        ))}
      </Cell>
      <Cell className={`text-muted ${MIDDLE}`}>{row.queue}</Cell>
      <Cell className={`text-muted ${WIDE}`}>{row.worker === null ? "" : row.worker.name}</Cell>
      <Cell className={`text-right text-muted ${MIDDLE}`}>{row.attempt === 0 ? "" : `${row.attempt}/${row.max_attempts}`}</Cell>
      <Cell className="text-right">{row.started_at === null ? "" : <Took from={row.started_at} to={row.finished_at} />}</Cell>
      <Cell className="text-right text-muted">
        <Ago at={row.created_at} />
      </Cell>
    </>
  );
});

/** What a row has to say in one line: how far, or why not. */
function Doing({ row }: { row: JobRow }) {
  const { progress, error } = row;
  if (row.state === "running") {
    const words = [progress?.stage, progress?.message].filter((one) => one != null && one !== "").join(" · ");
    return (
      <>
      <span className="w-20 shrink-0">
        <Progress percent={progress?.percent ?? null} label={`Progress of ${row.kind} ${tail(row.id)}`} />
      </span>
      <span className="w-9 shrink-0 text-right text-xs">{progress?.percent == null ? "" : `${Math.round(progress.percent)} %`}</span>
      <span className="truncate text-muted">{words}</span>
      </>
    );
  }
  if (row.state === "scheduled" && row.scheduled_at !== null) return <Later words="starts" at={row.scheduled_at} />;
  if (row.state === "retryable" && row.scheduled_at !== null) return <Later words={`${error?.message ?? "failed"} · again`} at={row.scheduled_at} />;
  if (error !== null && row.state !== "completed") {
    return (
      <span title={error.message} className="truncate text-muted">
        {error.message}
      </span>
    );
  }
  const { items } = row;
  if (items !== null && row.state === "completed") {
    const bad = items.failed + items.skipped;
    return <span className="truncate text-muted">{`${items.completed} of ${items.total} items${bad === 0 ? "" : `, ${items.failed} failed, ${items.skipped} skipped`}`}</span>;
  }
  return row.reason === null ? null : <span className="truncate text-muted">{row.reason.replaceAll("_", " ")}</span>;
}

function Later({ words, at }: { words: string; at: string }) {
  return (
    <span className="truncate text-muted">
      {words} <Ago at={at} />
    </span>
  );
}

/** The same on a phone, in two lines. */
export const JobCard = memo(function JobCard(props: GridRowProps) {
  const row = useJobRow(props.id);
  const chosen = useChosen(props.id);
  if (row === undefined) return null;
  return (
    <div {...gridRow(props)} aria-selected={chosen} data-job-id={row.id} data-state={row.state} className={`grid grid-cols-[1rem_minmax(0,1fr)] content-center items-center gap-x-3 px-3 ${lineClass(chosen)}`}>
      <div role="gridcell" className="row-span-2 grid">
        <RowBox id={row.id} name={`${row.kind} ${tail(row.id)}`} />
      </div>
      <CardCells row={row} />
    </div>
  );
});

const CardCells = memo(function CardCells({ row }: { row: JobRow }) {
  return (
    <>
      <div role="gridcell" className="flex min-w-0 items-center justify-between gap-2">
        <span className="min-w-0 truncate">
          <span className="font-medium">{row.kind}</span> <span className="font-mono text-xs text-muted">{tail(row.id)}</span>
        </span>
        <StateBadge state={row.state} cancelling={row.cancel_requested_at !== null} />
      </div>
      <div role="gridcell" className="flex h-5 min-w-0 items-center justify-between gap-2 text-xs">
        <span className="flex min-w-0 items-center gap-2">
          <Doing row={row} />
          {row.state === "running" ? null : row.tags.slice(0, 2).map((tag) => <Chip key={tag}>{tag}</Chip>)}
        </span>
        <span className="shrink-0 text-muted">
          <Ago at={row.created_at} />
        </span>
      </div>
    </>
  );
});

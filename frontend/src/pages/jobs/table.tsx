// The table of jobs: its columns, and one row.

import { useNavigate } from "@tanstack/react-router";
import { memo, useCallback, type Ref } from "react";
import type { JobRow } from "../../api/types.gen.ts";
import { useJobRow } from "../../hooks/index.ts";
import type { JobList, ListView } from "../../store/index.ts";
import { Cell, Grid, gridRow, HeadCell, type GridHandle, type GridRowProps } from "../../ui/grid.tsx";
import { Ago, Chip, Progress, StateBadge, Took, useNarrow } from "../../ui/index.ts";

const ROW_PX = 36;
const CARD_PX = 60;
/** Head and rows share their columns. */
const COLUMNS = "grid items-center gap-3 px-3 sm:px-4 sm:grid-cols-[7.5rem_minmax(8rem,14rem)_minmax(0,1fr)_7rem_6rem_5.5rem_6rem] max-md:sm:grid-cols-[7.5rem_minmax(8rem,14rem)_minmax(0,1fr)_5.5rem_6rem]";
/** Columns that only a wide window has. */
const WIDE = "max-md:hidden";

export function JobTable({ view, list, handle }: { view: ListView; list: JobList; handle: Ref<GridHandle> }) {
  const navigate = useNavigate();
  const narrow = useNarrow();
  const onEnd = useCallback(() => void list.more(), [list]);
  const onAtTop = useCallback((atTop: boolean) => (atTop ? list.release() : list.hold()), [list]);
  const onRange = useCallback((first: number, last: number) => list.look(first, last), [list]);
  return (
    <Grid
      label="Jobs"
      onRange={onRange}
      ids={view.ids}
      row={narrow ? JobCard : JobLine}
      rowHeight={narrow ? CARD_PX : ROW_PX}
      rowCount={view.complete ? view.ids.length + 1 : -1}
      onOpen={(id) => void navigate({ to: "/jobs/$id", params: { id } })}
      onEnd={onEnd}
      onAtTop={onAtTop}
      handle={handle}
      head={<Head />}
      foot={<Foot view={view} />}
    />
  );
}

function Head() {
  return (
    <div role="row" aria-rowindex={1} className={`${COLUMNS} sticky top-0 z-10 h-8 border-b border-line bg-sunken text-xs font-semibold text-muted max-sm:sr-only`}>
      <HeadCell>State</HeadCell>
      <HeadCell>Kind</HeadCell>
      <HeadCell>Details</HeadCell>
      <HeadCell className={WIDE}>Queue</HeadCell>
      <HeadCell className={`text-right ${WIDE}`}>Attempt</HeadCell>
      <HeadCell className="text-right">Ran</HeadCell>
      <HeadCell className="text-right">Submitted</HeadCell>
    </div>
  );
}

function Foot({ view }: { view: ListView }) {
  const words = view.full
    ? "These are as many as one list holds. Narrow it to see older jobs."
    : view.complete
      ? "These are all."
      : view.loadingMore
        ? "Loading more …"
        : "";
  return <p className="py-3 text-center text-xs text-muted">{words}</p>;
}

const LINE = "border-b border-line hover:bg-hover focus-visible:bg-chosen cursor-pointer text-sm";

const JobLine = memo(function JobLine(props: GridRowProps) {
  const row = useJobRow(props.id);
  if (row === undefined) return null;
  return (
    <div {...gridRow(props)} data-job-id={row.id} data-state={row.state} className={`${COLUMNS} ${LINE}`}>
      <Cell>
        <StateBadge state={row.state} cancelling={row.cancel_requested_at !== null} />
      </Cell>
      <Cell className="font-medium">{row.kind}</Cell>
      <Cell className="flex items-center gap-2">
        <Doing row={row} />
      </Cell>
      <Cell className={`text-muted ${WIDE}`}>{row.queue}</Cell>
      <Cell className={`text-right text-muted ${WIDE}`}>{row.attempt === 0 ? "" : `${row.attempt} of ${row.max_attempts}`}</Cell>
      <Cell className="text-right">{row.started_at === null ? "" : <Took from={row.started_at} to={row.finished_at} />}</Cell>
      <Cell className="text-right text-muted">
        <Ago at={row.created_at} />
      </Cell>
    </div>
  );
});

/** What a row has to say in one line: how far, or why not. */
function Doing({ row }: { row: JobRow }) {
  const { progress, error, tags } = row;
  if (row.state === "running") {
    return (
      <>
        <span className="w-24 shrink-0">
          <Progress percent={progress?.percent ?? null} label={`Progress of ${row.kind}`} />
        </span>
        <span className="w-9 shrink-0 text-right text-xs">{progress?.percent == null ? "" : `${Math.round(progress.percent)} %`}</span>
        <span className="truncate text-muted">{progress?.message ?? progress?.stage ?? ""}</span>
      </>
    );
  }
  if (error !== null && row.state !== "completed") return <span className="truncate text-muted">{error.message}</span>;
  return (
    <span className="flex min-w-0 gap-1.5 overflow-hidden">
      {row.reason === null ? null : <span className="truncate text-muted">{row.reason.replaceAll("_", " ")}</span>}
      {tags.map((tag) => (
        <Chip key={tag}>{tag}</Chip>
      ))}
    </span>
  );
}

/** The same on a phone, in two lines. */
const JobCard = memo(function JobCard(props: GridRowProps) {
  const row = useJobRow(props.id);
  if (row === undefined) return null;
  return (
    <div {...gridRow(props)} data-job-id={row.id} data-state={row.state} className={`grid content-center gap-0.5 px-3 ${LINE}`}>
      <div role="gridcell" className="flex min-w-0 items-center justify-between gap-2">
        <span className="truncate font-medium">{row.kind}</span>
        <StateBadge state={row.state} cancelling={row.cancel_requested_at !== null} />
      </div>
      <div role="gridcell" className="flex min-w-0 items-center justify-between gap-2 text-xs">
        <span className="flex min-w-0 items-center gap-2">
          <Doing row={row} />
        </span>
        <span className="shrink-0 text-muted">
          <Ago at={row.created_at} />
        </span>
      </div>
    </div>
  );
});

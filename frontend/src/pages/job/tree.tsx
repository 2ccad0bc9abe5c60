// The tree that a job belongs to: parents, children, and this one marked. Read again and again; large trees a part at a time.

import { useNavigate } from "@tanstack/react-router";
import { createContext, memo, useContext, useEffect, useMemo, useState } from "react";
import type { JobRow, Tree } from "../../api/types.gen.ts";
import { getTree, isTerminal } from "../../api/index.ts";
import { useApi, useJobRow } from "../../hooks/index.ts";
import { Cell, Grid, gridRow, HeadCell, type GridRowProps } from "../../ui/grid.tsx";
import { Ago, Button, Loading, ProblemBox, StateBadge, Took } from "../../ui/index.ts";
import { linesOf, type TreeLine } from "./tree-order.ts";

const PAGE_ROWS = 500;
/** It is read again so often for each page of it: as long as something goes on in it, and when all has ended. */
const BUSY_MS = 2_000;
const IDLE_MS = 10_000;
/** Deeper ones are not moved further in. */
const DEPTH_SHOWN = 8;

const Lines = createContext<{ readonly byId: ReadonlyMap<string, TreeLine>; readonly current: string; readonly past: boolean }>({ byId: new Map(), current: "", past: false });

export function TreeOf({ row, at }: { row: JobRow; at: number | undefined }) {
  const [pages, setPages] = useState(1);
  const [goesOn, setGoesOn] = useState(false);
  const navigate = useNavigate();
  const tree = useApi<Tree>(
    ["tree", row.id, at ?? null, pages],
    async (api, options) => {
      let all = await getTree(api, row.id, { limit: PAGE_ROWS, at }, options);
      for (let page = 1; page < pages && all.next_cursor !== null; page += 1) {
        const next = await getTree(api, row.id, { limit: PAGE_ROWS, at, cursor: all.next_cursor }, options);
        all = { ...next, jobs: [...all.jobs, ...next.jobs] };
      }
      return all;
    },
    // No subscription knows trees.
    { keep: true, ...(at === undefined ? { everyMs: (goesOn ? BUSY_MS : IDLE_MS) * pages } : {}) },
  );
  const { data, refetch } = tree;
  const going = data?.jobs.some(({ state }) => !isTerminal(state)) ?? false;
  useEffect(() => setGoesOn(going), [going]);
  const rows = data?.jobs ?? NONE;
  const lines = useMemo(() => linesOf(rows), [rows]);
  const shared = useMemo(() => ({ byId: new Map(lines.map((line) => [line.row.id, line])), current: row.id, past: at !== undefined }), [lines, row.id, at]);
  const ids = useMemo(() => lines.map((line) => line.row.id), [lines]);
  if (data === undefined) return tree.isError ? <ProblemBox error={tree.error} onRetry={() => void refetch()} /> : <Loading label="Loading the tree" />;
  const foot =
    data.next_cursor === null ? (
      <p className="py-3 text-center text-xs text-muted">{rows.length === 1 ? "This job has neither a parent nor children." : `These are all ${rows.length} jobs of the tree.`}</p>
    ) : (
      <div className="flex items-center justify-center gap-3 py-3 text-xs text-muted">
        <span>The first {rows.length} jobs of the tree.</span>
        <Button disabled={tree.isFetching} onClick={() => setPages(pages + 1)}>
          More
        </Button>
      </div>
    );
  return (
    <Lines value={shared}>
      <Grid label="Tree" ids={ids} row={Line} rowHeight={36} rowCount={data.next_cursor === null ? ids.length + 1 : -1} onOpen={(id) => void navigate({ to: "/jobs/$id", params: { id }, search: { tab: "tree", at } })} head={<Head />} foot={foot} />
    </Lines>
  );
}

const NONE: readonly JobRow[] = [];
const COLUMNS = "grid items-center gap-3 px-3 sm:px-4 grid-cols-[minmax(0,1fr)_6.5rem] sm:grid-cols-[minmax(0,1fr)_7.5rem_6rem_6rem]";
/** Whole names of classes: the style sheet is made of those that it finds in the text. */
const INDENTS = ["pl-0", "pl-5", "pl-10", "pl-15", "pl-20", "pl-25", "pl-30", "pl-35", "pl-40"];

function Head() {
  return (
    <div role="row" aria-rowindex={1} className={`${COLUMNS} sticky top-0 z-10 h-8 border-b border-line bg-sunken text-xs font-semibold text-muted`}>
      <HeadCell>Job</HeadCell>
      <HeadCell>State</HeadCell>
      <HeadCell className="text-right max-sm:hidden">Ran</HeadCell>
      <HeadCell className="text-right max-sm:hidden">Submitted</HeadCell>
    </div>
  );
}

const Line = memo(function Line(props: GridRowProps) {
  const { byId, current, past } = useContext(Lines);
  const line = byId.get(props.id);
  const live = useJobRow(props.id);
  if (line === undefined) return null;
  const row = !past && live !== undefined && live.seq >= line.row.seq ? live : line.row;
  const here = row.id === current;
  return (
    <div
      {...gridRow(props)}
      data-job-id={row.id}
      data-state={row.state}
      {...(here ? { "aria-current": "true" } : {})}
      className={`${COLUMNS} cursor-pointer border-b border-line text-sm hover:bg-hover focus-visible:bg-chosen ${here ? "bg-chosen" : ""}`}
    >
      <Cell className={`flex items-center gap-2 ${INDENTS[Math.min(line.depth, DEPTH_SHOWN)] ?? ""}`}>
        <span className={`max-w-full min-w-12 shrink truncate ${here ? "font-semibold" : "font-medium"}`}>{row.kind}</span>
        {here ? <span className="shrink-0 text-xs text-muted">this job</span> : null}
        {line.depth > DEPTH_SHOWN ? <span className="shrink-0 text-xs text-muted">level {line.depth}</span> : null}
        <span className="min-w-0 flex-1 basis-0 truncate font-mono text-xs text-muted" title={row.id}>
          <span className="max-sm:hidden">{row.id}</span>
          <span className="sm:hidden">{row.id.slice(-6)}</span>
        </span>
      </Cell>
      <Cell>
        <StateBadge state={row.state} cancelling={row.cancel_requested_at !== null} />
      </Cell>
      <Cell className="text-right max-sm:hidden">{row.started_at === null ? "" : <Took from={row.started_at} to={row.finished_at} />}</Cell>
      <Cell className="text-right text-muted max-sm:hidden">
        <Ago at={row.created_at} />
      </Cell>
    </div>
  );
});

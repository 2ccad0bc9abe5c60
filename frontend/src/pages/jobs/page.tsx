// All jobs, newest first and live. The address says what to show, a hook has the data, the parts beside this file draw it.

import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { memo, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Action } from "../../api/types.gen.ts";
import { Page } from "../../app/page.tsx";
import type { JobsSearch } from "../../app/search.ts";
import { useShortcut } from "../../app/shortcuts.ts";
import { countsOf, useJobs, useStats, useWorld } from "../../hooks/index.ts";
import { Button, Empty, Loading, ProblemBox, buttonClass } from "../../ui/index.ts";
import type { GridHandle } from "../../ui/grid.tsx";
import { SelectionBar } from "./bar.tsx";
import type { Ask } from "./bulk-dialog.tsx";
import { ChoosingContext, type Choosing } from "./choose.tsx";
import { Filters, isFiltered, NO_FILTER } from "./filters.tsx";
import { Selection } from "./selection.ts";
import { JobTable } from "./table.tsx";
import { countOfStates, StateTabs } from "./tabs.tsx";

const route = getRouteApi("/jobs");
/** Rows come many times a second; what stands above them is drawn anew when it changes. */
const [Tabs, Narrowing] = [memo(StateTabs), memo(Filters)];

/** A selection is of one filter and one log. */
function useSelection(search: JobsSearch): Selection {
  const world = useWorld();
  const [selection] = useState(() => new Selection());
  const key = JSON.stringify(search);
  useEffect(() => () => selection.clear(), [selection, key]);
  useEffect(() => world.onClear(() => selection.clear()), [world, selection]);
  return selection;
}

/** What is selected, or the row with the focus. */
function useAsking(search: JobsSearch, selection: Selection, grid: { readonly current: GridHandle | null }) {
  const [ask, setAsk] = useState<Ask | null>(null);
  const begin = (action: Action): void => {
    if (search.at !== undefined) return;
    const { all, ids } = selection.get();
    const active = grid.current?.active() ?? null;
    if (all) setAsk({ action, target: { filter: search } });
    else if (ids.size > 0) setAsk({ action, target: { ids: [...ids] } });
    else if (active !== null) setAsk({ action, target: { ids: [active] } });
  };
  return { ask, begin, end: useCallback(() => setAsk(null), []) };
}

/** The dialog comes with the first question: most visits have none. */
function useBulk(ask: Ask | null): typeof import("./bulk-dialog.tsx") | null {
  const { notices } = useWorld();
  const [found, setFound] = useState<typeof import("./bulk-dialog.tsx") | null>(null);
  useEffect(() => {
    if (ask === null || found !== null) return;
    import("./bulk-dialog.tsx").then(setFound, () => void notices.say("error", "This part of the page could not be loaded", "The server does not answer."));
  }, [ask, found, notices]);
  return found;
}

/** What opened the dialog may be gone when it closes: the bar of the selection, the row itself. */
function useFocusAfter(ask: Ask | null, grid: { readonly current: GridHandle | null }): void {
  const asked = useRef(false);
  useEffect(() => {
    if (ask === null && asked.current && document.activeElement === document.body) grid.current?.focus();
    asked.current = ask !== null;
  }, [ask, grid]);
}

export function JobsPage() {
  const search = route.useSearch();
  const stats = useStats();
  const { list, view } = useJobs(search);
  const grid = useRef<GridHandle>(null);
  const selection = useSelection(search);
  const { ask, begin, end } = useAsking(search, selection, grid);
  useFocusAfter(ask, grid);
  const bulk = useBulk(ask);
  const navigate = useNavigate();
  const change = useCallback(
    (patch: Partial<JobsSearch>) => void navigate({ to: "/jobs", search: (before) => ({ ...before, ...patch }), replace: true }),
    [navigate],
  );
  const past = search.at !== undefined;
  const choosing = useMemo<Choosing | null>(() => (past ? null : { selection, list: () => list.view.get().ids }), [past, selection, list]);
  const counts = countsOf(stats, { kind: search.kind, queue: search.queue, narrower: search.tag !== undefined || search.q !== undefined || past });
  const toggle = (): void => {
    const id = grid.current?.active() ?? null;
    if (id !== null && !past) selection.toggle(id, view.ids);
  };
  useShortcut("j", "Next job", "Jobs", () => void grid.current?.move(1));
  useShortcut("k", "Previous job", "Jobs", () => void grid.current?.move(-1));
  useShortcut("x", "Select the job", "Jobs", toggle);
  useShortcut("Escape", "Select none", "Jobs", () => selection.clear(), !past);
  useShortcut("c", "Cancel what is selected", "Jobs", () => begin("cancel"));
  useShortcut("r", "Retry what is selected", "Jobs", () => begin("retry"));
  // All that were here left; older ones were not read yet.
  const unread = view.phase === "ready" && view.ids.length === 0 && !view.complete;
  useEffect(() => {
    if (unread && !view.loadingMore && view.problem === null) void list.more();
  }, [list, unread, view]);
  const done = useCallback(() => selection.clear(), [selection]);
  const showFresh = (): void => {
    if (search.q === undefined) list.release();
    else list.refresh();
    grid.current?.top();
  };
  return (
    <Page title="Jobs" head={<Tabs search={search} counts={counts} onChange={change} />} scroll={false}>
      <Narrowing search={search} stats={stats} onChange={change} />
      <ChoosingContext value={choosing}>
        <div className="relative flex min-h-0 flex-1 flex-col" aria-busy={view.phase === "loading"}>
          <Fresh count={view.fresh} onShow={showFresh} />
          {view.problem === null ? null : <ProblemBox error={view.problem} onRetry={() => list.refresh()} />}
          {view.ids.length > 0 ? (
            <JobTable view={view} list={list} selection={past ? null : selection} handle={grid} />
          ) : view.phase === "loading" || (unread && view.problem === null) ? (
            <Loading label={search.q === undefined ? "Loading" : "Looking through the jobs, 10,000 at a time"} />
          ) : view.phase === "ready" && !unread ? (
            <Nothing search={search} onClear={() => change(NO_FILTER)} />
          ) : null}
          <SelectionBar selection={selection} complete={view.complete} matching={countOfStates(search.state, counts)} onAct={begin} />
        </div>
      </ChoosingContext>
      {bulk === null ? null : <bulk.BulkDialog ask={ask} onClose={end} onDone={done} />}
    </Page>
  );
}

function Fresh({ count, onShow }: { count: number; onShow: () => void }) {
  if (count === 0) return null;
  return (
    <Button look="main" icon="up" onClick={onShow} className="absolute top-10 left-1/2 z-10 -translate-x-1/2 rounded-full shadow-lg">
      {count.toLocaleString("en")} new {count === 1 ? "job" : "jobs"}
    </Button>
  );
}

function Nothing({ search, onClear }: { search: JobsSearch; onClear: () => void }) {
  const { state, kind, queue, tag, q, at } = search;
  if (!isFiltered(search)) {
    return at !== undefined ? (
      <Empty title="No jobs then">
        <p>As of this event the server knew no job.</p>
      </Empty>
    ) : (
      <Empty title="No jobs yet">
        <p>Jobs that are submitted appear here at once.</p>
        <Link to="/submit" className={buttonClass("main")}>
          Submit a job
        </Link>
      </Empty>
    );
  }
  const named = [
    state === undefined ? null : `state ${state.join(" or ")}`,
    kind === undefined ? null : `kind ${kind}`,
    queue === undefined ? null : `queue ${queue}`,
    tag === undefined ? null : `tag ${tag}`,
    q === undefined ? null : `text “${q}”`,
  ].filter((one) => one !== null);
  return (
    <Empty title="No job matches">
      <p className="break-words">Looked for: {named.join(", ")}.</p>
      <Button onClick={onClear}>Clear all filters</Button>
    </Empty>
  );
}

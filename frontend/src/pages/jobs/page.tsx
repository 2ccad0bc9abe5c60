// All jobs, newest first and live. The example of a page: the address says what to show, a hook has the data, the parts
// beside this file draw it.

import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useRef } from "react";
import type { JobsSearch } from "../../app/search.ts";
import { Page } from "../../app/page.tsx";
import { useShortcut } from "../../app/shortcuts.ts";
import { useJobs, useStats } from "../../hooks/index.ts";
import { Button, Empty, Loading, ProblemBox } from "../../ui/index.ts";
import type { GridHandle } from "../../ui/grid.tsx";
import { Filters } from "./filters.tsx";
import { JobTable } from "./table.tsx";
import { StateTabs } from "./tabs.tsx";

const route = getRouteApi("/jobs");

export function JobsPage() {
  const search = route.useSearch();
  const stats = useStats();
  const { list, view } = useJobs(search);
  const grid = useRef<GridHandle>(null);
  const navigate = useNavigate();
  const change = useCallback(
    (patch: Partial<JobsSearch>) => void navigate({ to: "/jobs", search: (before) => ({ ...before, ...patch }), replace: true }),
    [navigate],
  );
  useShortcut("j", "Next job", "Jobs", () => grid.current?.move(1));
  useShortcut("k", "Previous job", "Jobs", () => grid.current?.move(-1));
  const showFresh = (): void => {
    if (search.q === undefined) list.release();
    else list.refresh();
    grid.current?.top();
  };
  return (
    <Page title="Jobs" head={<StateTabs search={search} stats={stats} onChange={change} />} actions={<Filters search={search} stats={stats} onChange={change} />} scroll={false}>
      <div className="relative flex min-h-0 flex-1 flex-col" aria-busy={view.phase === "loading"}>
        {view.fresh > 0 ? (
          <Button look="main" icon="up" onClick={showFresh} className="absolute top-11 left-1/2 z-10 -translate-x-1/2 rounded-full shadow-lg">
            {view.fresh} new {view.fresh === 1 ? "job" : "jobs"}
          </Button>
        ) : null}
        {view.problem === null ? null : <ProblemBox error={view.problem} onRetry={() => list.refresh()} />}
        {view.ids.length > 0 ? (
          <JobTable view={view} list={list} handle={grid} />
        ) : view.phase === "loading" ? (
          <Loading />
        ) : view.phase === "ready" ? (
          <Nothing search={search} onClear={() => change({ state: undefined, kind: undefined, queue: undefined, tag: undefined, q: undefined })} />
        ) : null}
      </div>
    </Page>
  );
}

function Nothing({ search, onClear }: { search: JobsSearch; onClear: () => void }) {
  const { state, kind, queue, tag, q } = search;
  const named = [
    state === undefined ? null : `state ${state.join(" or ")}`,
    kind === undefined ? null : `kind ${kind}`,
    queue === undefined ? null : `queue ${queue}`,
    tag === undefined ? null : `tag ${tag}`,
    q === undefined ? null : `text “${q}”`,
  ].filter((one) => one !== null);
  if (named.length === 0) {
    return (
      <Empty title="No jobs yet">
        <p>Jobs that are submitted appear here at once.</p>
      </Empty>
    );
  }
  return (
    <Empty title="No job matches">
      <p>Looked for: {named.join(", ")}.</p>
      <Button onClick={onClear}>Clear all filters</Button>
    </Empty>
  );
}

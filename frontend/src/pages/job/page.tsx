// One job: where it stands, what can be done with it, and tabs for all that is known of it.

import { Link, getRouteApi, useNavigate } from "@tanstack/react-router";
import { Page } from "../../app/page.tsx";
import type { JobSearch } from "../../app/search.ts";
import { useJob, type JobView } from "../../hooks/index.ts";
import { Empty, Loading, ProblemBox } from "../../ui/index.ts";
import { Actions } from "./actions.tsx";
import { Heading } from "./heading.tsx";
import { Items } from "./items.tsx";
import { Log } from "./log.tsx";
import { Overview } from "./overview.tsx";
import { ProgressStrip } from "./progress-strip.tsx";
import { TabList, tabsOf } from "./tabs.tsx";
import { Timeline } from "./timeline.tsx";
import { TreeOf } from "./tree.tsx";

const route = getRouteApi("/jobs/$id");

export function JobPage() {
  const { id } = route.useParams();
  const { at } = route.useSearch();
  // Another job, or another moment, is another page: nothing of the one before may show through.
  return <One key={`${id} ${at ?? ""}`} id={id} />;
}

function One({ id }: { id: string }) {
  const search = route.useSearch();
  const view = useJob(id, search.at, route.useRouteContext().openedIn);
  const { row, job, phase, problem, reload } = view;
  if (row === undefined) {
    return (
      <Page title="Job">
        {phase === "loading" ? <Loading label="Loading the job" /> : null}
        {phase === "failed" ? <ProblemBox error={problem} onRetry={reload} /> : null}
        {phase === "gone" ? <Gone id={id} why={view.gone} /> : null}
      </Page>
    );
  }
  return (
    <Page
      title={`${row.kind} ${row.state}`}
      head={<Heading row={row} />}
      actions={<Actions row={row} job={job} past={search.at !== undefined} />}
      scroll={false}
    >
      <Body view={view} search={search} />
    </Page>
  );
}

function Body({ view, search }: { view: JobView; search: JobSearch }) {
  const navigate = useNavigate();
  const { row, job, problem, reload } = view;
  if (row === undefined) return null;
  const { at } = search;
  const tabs = tabsOf(row);
  const tab = tabs.find(({ name }) => name === search.tab)?.name ?? "overview";
  const go = (change: Partial<JobSearch>): void => {
    void navigate({ to: "/jobs/$id", params: { id: row.id }, search: { ...search, ...change }, replace: true });
  };
  return (
    <div data-job-id={row.id} data-state={row.state} className="flex min-h-0 flex-1 flex-col">
      <ProgressStrip row={row} />
      <TabList tabs={tabs} tab={tab} onTab={(next) => go({ tab: next === "overview" ? undefined : next })} />
      <div role="tabpanel" id="job-panel" aria-labelledby={`job-tab-${tab}`} className="flex min-h-0 flex-1 flex-col">
        {tab === "overview" ? <Overview row={row} job={job} problem={problem} onRetry={reload} at={at} /> : null}
        {tab === "items" ? <Items row={row} at={at} state={search.items} onState={(items) => go({ items })} /> : null}
        {tab === "log" ? <Log row={row} past={at !== undefined} /> : null}
        {tab === "timeline" ? <Timeline id={row.id} at={at} /> : null}
        {tab === "tree" ? <TreeOf row={row} at={at} /> : null}
      </div>
    </div>
  );
}

const WORDS = {
  missing: { title: "There is no such job", text: "Its id is unknown, or it was forgotten some time after it had ended." },
  forgotten: { title: "This job was forgotten", text: "It had ended, and its time of keeping is over. The server has nothing of it any more." },
  reset: { title: "This job is gone with the old log", text: "The server began a new log. Nothing is asked about this job any more." },
} as const;

function Gone({ id, why }: { id: string; why: JobView["gone"] }) {
  const { title, text } = WORDS[why ?? "missing"];
  return (
    <Empty title={title}>
      <p>{text}</p>
      <p className="font-mono text-xs break-all">{id}</p>
      <Link to="/jobs" className="text-accent underline">
        All jobs
      </Link>
    </Empty>
  );
}

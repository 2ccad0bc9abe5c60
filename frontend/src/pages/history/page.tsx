// What was done over time, and how long it took: counts and rates of now, charts of a span, and days as a table.

import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { Page } from "../../app/page.tsx";
import type { HistorySearch } from "../../app/search.ts";
import { ApiProblem, getHistory } from "../../api/index.ts";
import type { HistoryBody, HistorySpan } from "../../api/types.gen.ts";
import { useApi } from "../../hooks/index.ts";
import { Empty, Icon, Loading, ProblemBox } from "../../ui/index.ts";
import { Charts } from "./charts.tsx";
import { Days } from "./days.tsx";
import { Now } from "./now.tsx";
import { Choice } from "./choice.tsx";

const route = getRouteApi("/history");

const SPANS: readonly { readonly value: HistorySpan; readonly label: string }[] = [
  { value: "5m", label: "5 min" },
  { value: "1h", label: "1 h" },
  { value: "24h", label: "24 h" },
  { value: "30d", label: "30 d" },
];
const VIEWS = [
  { value: "charts", label: "Charts" },
  { value: "tables", label: "Tables" },
] as const;
/** About as often as something of it can look different. The library asks for nothing while the page is not seen. */
const REFRESH_MS: Readonly<Record<HistorySpan, number>> = { "5m": 5_000, "1h": 10_000, "24h": 60_000, "30d": 60_000 };

export function HistoryPage() {
  const { span = "1h", view = "charts", at } = route.useSearch();
  const navigate = useNavigate();
  const change = (patch: Partial<HistorySearch>): void => void navigate({ to: "/history", search: (before) => ({ ...before, ...patch }), replace: true });
  const query = useApi(["history", span], (api, options) => getHistory(api, span, options), { everyMs: REFRESH_MS[span], keep: true });
  return (
    <Page
      title="History"
      actions={
        <>
          <Choice label="Span" options={SPANS} value={span} onChange={(chosen) => change({ span: chosen === "1h" ? undefined : chosen })} />
          <Choice label="Show as" options={VIEWS} value={view} onChange={(chosen) => change({ view: chosen === "tables" ? "tables" : undefined })} />
        </>
      }
    >
      <div className="grid gap-6" aria-busy={query.isFetching && query.isPlaceholderData}>
        {at === undefined ? null : <Note>Numbers are those of now: the history cannot be looked at as of a past event.</Note>}
        <Now />
        {query.isError ? <Failure error={query.error} onRetry={() => void query.refetch()} /> : null}
        {query.isPending ? <Loading label="Loading the history" /> : null}
        {query.data === undefined ? null : (
          <>
            <Caveats body={query.data} />
            <Charts body={query.data} tables={view === "tables"} />
            <Days />
          </>
        )}
      </div>
    </Page>
  );
}

function Failure({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  // What no server answers that has it: its own problem would name a job, a queue.
  if (error instanceof ApiProblem && error.status === 404) {
    return (
      <Empty title="This server keeps no history">
        <p>It is older than this page. Charts come with a newer version of daybook; counts and rates above are its own.</p>
      </Empty>
    );
  }
  return <ProblemBox error={error} onRetry={onRetry} />;
}

/** What is missing in the numbers, if anything. */
function Caveats({ body }: { body: HistoryBody }) {
  return (
    <>
      {body.complete ? null : <Note>What happened before the server started is still being read: the numbers are not complete yet.</Note>}
      {body.earliest > 1 ? <Note>The log begins with event {body.earliest}. What happened before is not counted.</Note> : null}
    </>
  );
}

function Note({ children }: { children: React.ReactNode }) {
  return (
    <p role="note" className="flex items-start gap-2 rounded-md border border-line bg-surface px-3 py-2 text-sm">
      <Icon name="info" className="mt-0.5 text-running" />
      <span>{children}</span>
    </p>
  );
}

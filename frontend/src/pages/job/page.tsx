// One job: where it stands, what it was given, what it gave.

import { Link, getRouteApi } from "@tanstack/react-router";
import { Page } from "../../app/page.tsx";
import { useJob } from "../../hooks/index.ts";
import { Empty, Loading, ProblemBox } from "../../ui/index.ts";
import { Facts } from "./facts.tsx";
import { Heading } from "./heading.tsx";
import { Payload } from "./payload.tsx";

const route = getRouteApi("/jobs/$id");

export function JobPage() {
  const { id } = route.useParams();
  // Another job is another page: nothing of the one before may show through.
  return <JobBodyOf key={id} id={id} />;
}

function JobBodyOf({ id }: { id: string }) {
  const { at } = route.useSearch();
  const { row, job, phase, problem, reload } = useJob(id, at);
  const title = row === undefined ? "Job" : `${row.kind} ${row.state}`;
  return (
    <Page title={title} head={row === undefined ? undefined : <Heading row={row} />}>
      {phase === "loading" ? <Loading /> : null}
      {phase === "failed" ? <ProblemBox error={problem} onRetry={reload} /> : null}
      {phase === "gone" ? (
        <Empty title="There is no such job">
          <p>Its id is unknown, it was forgotten, or the server began a new log.</p>
          <Link to="/jobs" className="text-accent underline">
            All jobs
          </Link>
        </Empty>
      ) : null}
      {row === undefined ? null : (
        <div data-job-id={id} data-state={row.state} className="grid gap-6 lg:grid-cols-[minmax(0,22rem)_minmax(0,1fr)]">
          <Facts row={row} />
          {job === undefined ? <Loading /> : <Payload job={job} />}
        </div>
      )}
    </Page>
  );
}

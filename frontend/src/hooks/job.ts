// One job, whole and live: its row follows the socket; args and result are asked for when something of it has changed.

import { useEffect, useState } from "react";
import { ApiProblem, getJob } from "../api/index.ts";
import type { JobBody, JobRow } from "../api/types.gen.ts";
import { useJobRow } from "./jobs.ts";
import { useApi } from "./query.ts";
import { useAge, useWorld } from "./world.tsx";

export interface JobView {
  /** The newest that is known, of the row and of the whole. */
  readonly row: JobRow | undefined;
  /** With args and result; older than the row at times. */
  readonly job: JobBody | undefined;
  /** `gone`: there is none, or it was of a log that is no more, and is never asked for again. */
  readonly phase: "loading" | "there" | "gone" | "failed";
  /** Why it is gone: there was none, retention took it while somebody looked, or its log is no more. */
  readonly gone: "missing" | "forgotten" | "reset" | null;
  readonly problem: unknown;
  readonly reload: () => void;
}

/** `openedIn`: the log in which its page was opened. In another one nothing is asked about it. */
export function useJob(id: string, at: number | undefined, openedIn: number): JobView {
  const world = useWorld();
  const { log } = useAge();
  const vanished = openedIn !== log;
  const [left, setLeft] = useState<string | null>(null);
  const query = useApi<JobBody>(["job", id, at ?? null], (api, options) => getJob(api, id, at, options), { enabled: !vanished && left !== id });
  const live = useJobRow(id);

  useEffect(() => (vanished || at !== undefined ? undefined : world.follow(id, () => setLeft(id))), [world, id, vanished, at]);
  const forgotten = left === id && at === undefined;
  const job = query.data;
  const row = at === undefined && live !== undefined && (job === undefined || live.seq >= job.seq) ? live : job;
  // What the whole has and a row has not changes with these only.
  const stale = job !== undefined && row !== undefined && (row.state !== job.state || row.purged_at !== job.purged_at || row.attempt !== job.attempt || row.finished_at !== job.finished_at);
  const { refetch } = query;
  useEffect(() => {
    if (stale && !vanished && !forgotten) void refetch();
  }, [stale, vanished, forgotten, row?.seq, refetch]);

  const missing = query.error instanceof ApiProblem && query.error.status === 404;
  const gone = vanished ? "reset" : forgotten ? "forgotten" : missing ? "missing" : null;
  const phase = gone !== null ? "gone" : row !== undefined ? "there" : query.isError ? "failed" : "loading";
  const held = phase === "gone" ? { row: undefined, job: undefined } : { row, job };
  return { ...held, phase, gone, problem: query.error, reload: () => void refetch() };
}

// The queues and the workers: live, or as they were after an event.

import { allRows, listQueues, listWorkers } from "../api/index.ts";
import type { QueueRow, WorkerRow } from "../api/types.gen.ts";
import type { TableView } from "../store/index.ts";
import { useApi } from "./query.ts";
import { useReadable, useWorld } from "./world.tsx";

export function useQueues(): TableView<QueueRow> {
  return useReadable(useWorld().queues);
}

/** A table that is read once, or followed. */
export interface ReadTable<R> {
  readonly rows: readonly R[];
  readonly phase: TableView<R>["phase"];
  readonly problem: unknown;
  readonly reload: (() => void) | undefined;
}

const asError = (problem: string | null): unknown => (problem === null ? null : new Error(problem));

/** With `at` as they were then, and nothing live. */
export function useQueuesAt(at: number | undefined): ReadTable<QueueRow> {
  const world = useWorld();
  const enabled = useLooksBack(at);
  const live = useReadable(world.queues);
  const past = useApi(["queues-of", at ?? null], (api, options) => allRows((page) => listQueues(api, { at, ...page }, options), ({ queues }) => queues), { enabled, keep: true });
  if (at === undefined) return { ...live, problem: asError(live.problem), reload: undefined };
  return { rows: past.data ?? [], phase: phaseOf(past), problem: past.error, reload: () => void past.refetch() };
}

/** The same for workers. */
export function useWorkersAt(at: number | undefined): ReadTable<WorkerRow> {
  const world = useWorld();
  const enabled = useLooksBack(at);
  const live = useReadable(world.workers);
  const past = useApi(["workers-of", at ?? null], (api, options) => allRows((page) => listWorkers(api, { at, ...page }, options), ({ workers }) => workers), { enabled, keep: true });
  if (at === undefined) return { ...live, problem: asError(live.problem), reload: undefined };
  return { rows: past.data ?? [], phase: phaseOf(past), problem: past.error, reload: () => void past.refetch() };
}

/** False also between a reset, when the moment of the old log is forgotten, and the address that no longer names it. */
function useLooksBack(at: number | undefined): boolean {
  return useReadable(useWorld().at) !== null && at !== undefined;
}

function phaseOf(query: { readonly isError: boolean; readonly data: unknown }): TableView<unknown>["phase"] {
  return query.isError ? "failed" : query.data === undefined ? "loading" : "ready";
}

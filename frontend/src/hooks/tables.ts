// The queues and the workers: live, or as they were at the moment that the page shows.

import { listQueues, listWorkers } from "../api/index.ts";
import type { QueueRow, WorkerRow } from "../api/types.gen.ts";
import type { TableView } from "../store/index.ts";
import { usePast } from "./past.ts";
import { useApi } from "./query.ts";
import { useReadable, useWorld } from "./world.tsx";

/** More than these are shown in no past. */
const PAST_ROWS = 500;

interface Answer<R> {
  readonly data: readonly R[] | undefined;
  readonly error: unknown;
}

function viewOf<R>(live: TableView<R>, at: number | null, { data, error }: Answer<R>): TableView<R> {
  if (at === null) return live;
  if (error !== null) return { rows: [], phase: "failed", problem: error instanceof Error ? error.message : String(error) };
  return { rows: data ?? [], phase: data === undefined ? "loading" : "ready", problem: null };
}

export function useQueues(): TableView<QueueRow> {
  const { at } = usePast();
  const live = useReadable(useWorld().queues);
  const past = useApi(["queues", at], async (api, options) => (await listQueues(api, { at: at ?? undefined, limit: PAST_ROWS }, options)).queues, {
    enabled: at !== null,
    keep: true,
  });
  return viewOf(live, at, past);
}

export function useWorkers(): TableView<WorkerRow> {
  const { at } = usePast();
  const live = useReadable(useWorld().workers);
  const past = useApi(["workers", at], async (api, options) => (await listWorkers(api, { at: at ?? undefined, limit: PAST_ROWS }, options)).workers, {
    enabled: at !== null,
    keep: true,
  });
  return viewOf(live, at, past);
}

// The queues and the workers, live.

import type { QueueRow, WorkerRow } from "../api/types.gen.ts";
import type { TableView } from "../store/index.ts";
import { useReadable, useWorld } from "./world.tsx";

export function useQueues(): TableView<QueueRow> {
  return useReadable(useWorld().queues);
}

export function useWorkers(): TableView<WorkerRow> {
  return useReadable(useWorld().workers);
}

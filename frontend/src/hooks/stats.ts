// Counts and rates.

import type { StateCounts, StatsBody } from "../api/types.gen.ts";
import { useReadable, useWorld } from "./world.tsx";

export function useStats(): StatsBody | undefined {
  return useReadable(useWorld().stats);
}

/** How many are in each state, as far as the server counts by this filter: of all, of a kind, or of a queue. */
export function countsOf(stats: StatsBody | undefined, filter: { kind?: string | undefined; queue?: string | undefined; narrower: boolean }): StateCounts | null {
  if (stats === undefined || filter.narrower) return null;
  if (filter.kind !== undefined && filter.queue !== undefined) return null;
  if (filter.kind !== undefined) return stats.kinds.find(({ kind }) => kind === filter.kind)?.jobs ?? null;
  if (filter.queue !== undefined) return stats.queues.find(({ queue }) => queue === filter.queue)?.jobs ?? null;
  return stats.jobs;
}

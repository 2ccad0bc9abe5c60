// Counts and rates. Asked for again soon after rows changed, and now and then in any case: an idle page asks little.

import { useEffect } from "react";
import { getStats } from "../api/index.ts";
import type { StateCounts, StatsBody } from "../api/types.gen.ts";
import { useApi } from "./query.ts";
import { useWorld } from "./world.tsx";

const IDLE_MS = 10_000;
const BUSY_MS = 1_000;

export function useStats(): StatsBody | undefined {
  const { rows } = useWorld();
  const { data, refetch } = useApi(["stats"], getStats, { everyMs: IDLE_MS, keep: true });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | null = null;
    const end = rows.watch(() => {
      timer ??= setTimeout(() => {
        timer = null;
        void refetch({ cancelRefetch: false });
      }, BUSY_MS);
    });
    return () => {
      end();
      if (timer !== null) clearTimeout(timer);
    };
  }, [rows, refetch]);
  return data;
}

/** How many are in each state, as far as the server counts by this filter: of all, of a kind, or of a queue. */
export function countsOf(stats: StatsBody | undefined, filter: { kind?: string | undefined; queue?: string | undefined; narrower: boolean }): StateCounts | null {
  if (stats === undefined || filter.narrower) return null;
  if (filter.kind !== undefined && filter.queue !== undefined) return null;
  if (filter.kind !== undefined) return stats.kinds.find(({ kind }) => kind === filter.kind)?.jobs ?? null;
  if (filter.queue !== undefined) return stats.queues.find(({ queue }) => queue === filter.queue)?.jobs ?? null;
  return stats.jobs;
}

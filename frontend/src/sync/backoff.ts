// How long to wait before the next connection: full jitter, so that a thousand tabs that lost one server come back
// spread out. Pure: the random number is handed in.

import { BACKOFF_BASE_MS, BACKOFF_FLOOR_MS, BACKOFF_HIDDEN_MAX_MS, BACKOFF_VISIBLE_MAX_MS } from "./limits.ts";

/** Milliseconds before try number `attempt` (0 is the first after a live connection); `random` is in [0, 1). */
export function backoffMs(attempt: number, random: number, visible: boolean): number {
  const most = visible ? BACKOFF_VISIBLE_MAX_MS : BACKOFF_HIDDEN_MAX_MS;
  // 2 ** attempt grows past every number in the end; the cap is applied before the jitter.
  const ceiling = Math.min(most, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 32));
  return Math.max(BACKOFF_FLOOR_MS, Math.round(random * ceiling));
}

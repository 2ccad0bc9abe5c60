// What a queue's row says, from its fields. Pure.

import type { Actor, Depth, QueueRow, StateName } from "../../api/types.gen.ts";

/** In the order in which jobs go through them. */
export const DEPTH_STATES = ["running", "queued", "retryable", "scheduled", "blocked"] as const satisfies readonly (StateName & keyof Depth)[];

export function depthOf(depth: Depth): number {
  return DEPTH_STATES.reduce((sum, state) => sum + depth[state], 0);
}

export interface Share {
  readonly state: (typeof DEPTH_STATES)[number];
  readonly count: number;
  /** Of the bar's whole width, in percent. */
  readonly percent: number;
}

/** The parts of a queue's bar. The longest queue's bar has the whole width, and what is there is seen, however little. */
export function sharesOf(depth: Depth, most: number): readonly Share[] {
  return DEPTH_STATES.flatMap((state) => (depth[state] === 0 ? [] : [{ state, count: depth[state], percent: Math.max(1, (100 * depth[state]) / Math.max(1, most)) }]));
}

export type Gate = "open" | "paused" | "draining" | "both";

export function gateOf(row: QueueRow): Gate {
  if (row.paused !== null) return row.draining === null ? "paused" : "both";
  return row.draining === null ? "open" : "draining";
}

export function nameOf({ type, id }: Actor): string {
  if (type === "server") return "the server";
  if (id === null) return `a ${type}`;
  return type === "client" ? id : `${type} ${id}`;
}

// The states of a job as the dashboard groups them. The names are the server's.

import type { StateName } from "./types.gen.ts";

export const ACTIVE = ["scheduled", "queued", "blocked", "running", "retryable"] as const satisfies readonly StateName[];
export const TERMINAL = ["completed", "failed", "cancelled"] as const satisfies readonly StateName[];
export const STATES: readonly StateName[] = [...ACTIVE, ...TERMINAL];

export function isState(value: unknown): value is StateName {
  return STATES.includes(value as StateName);
}

export function isTerminal(state: string): boolean {
  return (TERMINAL as readonly string[]).includes(state);
}

// One turn of the machine: the state as it becomes, and what is to be done. Lives for one call of `step` and is seen
// by nobody else, so that the parts of a rule can be functions of their own and `step` stays pure.

import type { Anomaly, Effect, State, Subscription, SyncEvent } from "./state.ts";

export interface Turn {
  state: State;
  readonly effects: Effect[];
  /** Milliseconds by the clock on the wall. */
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;
}

export function change(turn: Turn, changes: Partial<State>): void {
  turn.state = { ...turn.state, ...changes };
}

export function act(turn: Turn, effect: Effect): void {
  turn.effects.push(effect);
}

export function emit(turn: Turn, event: SyncEvent): void {
  act(turn, { type: "emit", event });
}

/** Says aloud what should not have happened. Diagnostics show it; nothing depends on it. */
export function report(turn: Turn, what: Anomaly, id: string | null, detail: string): void {
  emit(turn, { type: "anomaly", what, id, detail });
}

export function put(turn: Turn, subscription: Subscription): Subscription {
  const subscriptions = new Map(turn.state.subscriptions);
  subscriptions.set(subscription.id, subscription);
  change(turn, { subscriptions });
  return subscription;
}

export function drop(turn: Turn, id: string): void {
  const subscriptions = new Map(turn.state.subscriptions);
  subscriptions.delete(id);
  change(turn, { subscriptions });
}

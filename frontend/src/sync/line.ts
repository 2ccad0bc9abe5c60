// The connection as a whole: to open it, to lose it, to wait, to wake. Knows nothing of rows and topics beyond that
// what was not delivered must be asked for again.

import { backoffMs } from "./backoff.ts";
import { BACKOFF_FLOOR_MS, CONNECT_MS, GAP_MEMORY_MS, RETRY_AFTER_MAX_MS, STALL_PINGS } from "./limits.ts";
import type { LossReason, PageSignal, State, Subscription } from "./state.ts";
import { act, change, report, type Turn } from "./turn.ts";

export function stallMs(state: State): number {
  return state.pingMs * STALL_PINGS;
}

export function staleMs(state: State): number {
  return stallMs(state) / 2;
}

/** Opens a socket. Its generation makes whatever older ones still say worthless. */
export function connect(turn: Turn): void {
  const generation = turn.state.generation + 1;
  change(turn, {
    generation,
    phase: { name: "connecting", openedAt: turn.now },
    heardAt: turn.now,
    stale: false,
    session: null,
    goodbye: null,
  });
  act(turn, { type: "clear", name: "retry" });
  act(turn, { type: "open", generation });
  act(turn, { type: "timer", name: "watch", inMs: CONNECT_MS });
}

/** What is asked for again on the next socket, from the last good place. A half snapshot has none: it starts over. */
function unsent(subscription: Subscription, state: State): Subscription {
  if (subscription.phase === "failed") return subscription;
  // A log's place is the number of its line; its position only tells which log, so the newest one we know is best:
  // of the log that answered it, and not of one that only said hello.
  const newest = subscription.topic === "logs" && subscription.known && state.epoch !== null;
  const position = newest ? { epoch: state.epoch as string, seq: state.head } : subscription.position;
  return { ...subscription, position, phase: "unsent", resuming: false, known: false, owed: false, pages: 0 };
}

/** Lets go of the socket. `closed`: it is closed already. */
export function detach(turn: Turn, closed: boolean): void {
  const { phase, generation, subscriptions } = turn.state;
  if (phase.name !== "connecting" && phase.name !== "joined") return;
  if (!closed) act(turn, { type: "close", generation });
  act(turn, { type: "clear", name: "watch" });
  change(turn, {
    generation: generation + 1,
    stale: false,
    probing: false,
    subscriptions: new Map([...subscriptions].map(([id, one]) => [id, unsent(one, turn.state)])),
  });
}

function wait(turn: Turn, reason: LossReason): void {
  const { goodbye, attempt, visible } = turn.state;
  const inMs =
    goodbye === null
      ? backoffMs(attempt, turn.random, visible)
      : Math.max(BACKOFF_FLOOR_MS, goodbye.retryAt - turn.now);
  change(turn, {
    phase: { name: "waiting", retryAt: turn.now + inMs, reason, asked: goodbye !== null },
    // The server's own wait is no failed try.
    attempt: goodbye === null ? attempt + 1 : attempt,
    goodbye: null,
  });
  act(turn, { type: "timer", name: "retry", inMs });
}

/** Gives the connection up and tries again after a while. */
export function lose(turn: Turn, reason: LossReason, closed = false): void {
  detach(turn, closed);
  wait(turn, reason);
}

/** Gives the connection up and opens the next one at once: somebody looks, or the server is known to be there. */
export function reconnect(turn: Turn): void {
  detach(turn, false);
  change(turn, { attempt: 0 });
  connect(turn);
}

/** The end: stopped by its user, or by a close code that says that trying again is of no use. */
export function halt(turn: Turn, phase: State["phase"], closed: boolean): void {
  detach(turn, closed);
  act(turn, { type: "clear", name: "retry" });
  change(turn, { phase, goodbye: null });
}

export function closed(turn: Turn, code: number, reason: string): void {
  if (code >= 4500 && code <= 4999) halt(turn, { name: "stopped", code, reason }, true);
  else lose(turn, turn.state.goodbye === null ? "closed" : "goodbye", true);
}

export function goodbye(turn: Turn, retryAfterMs: number): void {
  change(turn, { goodbye: { retryAt: turn.now + Math.min(retryAfterMs, RETRY_AFTER_MAX_MS) } });
}

/** A hole in what one subscription was sent. Each one soon after another waits longer, or a broken server is hammered. */
export function holed(turn: Turn, id: string, detail: string, what: "gap" | "bad_frame"): void {
  const { gaps, attempt } = turn.state;
  const count = turn.now - gaps.lastAt > GAP_MEMORY_MS ? 1 : gaps.count + 1;
  report(turn, what, id === "" ? null : id, detail);
  change(turn, { gaps: { count, lastAt: turn.now }, attempt: Math.max(attempt, count - 1) });
  lose(turn, what);
}

/** Any frame proves that the line is alive. */
export function heard(turn: Turn): void {
  change(turn, { heardAt: turn.now, stale: false });
}

/** Timers only make us look; the time that passed is read from the clock, since timers stand still while we sleep. */
export function watch(turn: Turn): void {
  const { phase, heardAt } = turn.state;
  if (phase.name !== "connecting" && phase.name !== "joined") return;
  // The clock was set back: without this nothing would be a stall until it is as late again.
  if (turn.now < heardAt) change(turn, { heardAt: turn.now });
  const silent = turn.now - turn.state.heardAt;
  if (phase.name === "connecting") {
    if (silent >= CONNECT_MS) {
      report(turn, "no_status", null, `no status within ${CONNECT_MS} ms`);
      lose(turn, "no_status");
    } else act(turn, { type: "timer", name: "watch", inMs: CONNECT_MS - silent });
    return;
  }
  const stall = stallMs(turn.state);
  const stale = staleMs(turn.state);
  if (silent >= stall) {
    report(turn, "stall", null, `nothing heard for ${silent} ms`);
    lose(turn, "stall");
    return;
  }
  change(turn, { stale: silent >= stale });
  act(turn, { type: "timer", name: "watch", inMs: (silent >= stale ? stall : stale) - silent });
}

/** Somebody looks, or the network is back: no wait of ours is worth it any more, and a silent socket is not trusted. */
function nudge(turn: Turn): void {
  const { phase, heardAt } = turn.state;
  if (phase.name === "waiting") {
    // What the server asked for is kept: it spreads those who come back.
    if (phase.asked && turn.now < phase.retryAt) return;
    change(turn, { attempt: 0 });
    connect(turn);
  } else if (phase.name === "connecting" || phase.name === "joined") {
    const most = phase.name === "connecting" ? CONNECT_MS : staleMs(turn.state);
    if (turn.now - heardAt >= most) reconnect(turn);
  }
}

export function page(turn: Turn, signal: PageSignal): void {
  const { phase, heardAt, offlineAt } = turn.state;
  switch (signal) {
    case "hidden":
      change(turn, { visible: false });
      return;
    case "offline":
      // No reason to stop trying: a server on this very machine is still there.
      change(turn, { online: false, offlineAt: turn.now });
      return;
    case "online":
      change(turn, { online: true, offlineAt: null });
      // Not a word since the network went: the socket belonged to the old network.
      if (phase.name === "joined" && offlineAt !== null && heardAt <= offlineAt) reconnect(turn);
      else nudge(turn);
      return;
    case "visible":
      change(turn, { visible: true });
      nudge(turn);
      return;
    case "resumed":
      nudge(turn);
      return;
    case "restored":
      // From the back/forward cache: browsers close the socket of such a page, and do not always say so.
      if (phase.name === "connecting" || phase.name === "joined") reconnect(turn);
      else nudge(turn);
      return;
  }
}

/** "Retry now", by hand: stronger than every wait, also the server's, and than a stop. */
export function retry(turn: Turn): void {
  const { phase, stale } = turn.state;
  if (phase.name === "waiting" || phase.name === "stopped") {
    change(turn, { attempt: 0 });
    connect(turn);
  } else if (phase.name === "connecting" || (phase.name === "joined" && stale)) reconnect(turn);
}

// The machine: `step(state, input, moment)` gives the next state and what is to be done. No clock, no socket, no page:
// those are told as inputs and reached by effects, so that every rule can be written down as a script.

import { refused, status, subscribe, unsubscribe, update } from "./ask.ts";
import { describe, sameConnection } from "./describe.ts";
import { RESTARTED_SHOWN_MS, SUBSCRIPTIONS_MAX, SUSPICION_MS } from "./limits.ts";
import { closed, connect, goodbye, halt, heard, holed, lose, page, reconnect, retry, watch } from "./line.ts";
import { readFrame, type ServerFrame } from "./protocol.ts";
import { receive } from "./receive.ts";
import type { Effect, Input, State } from "./state.ts";
import { act, change, emit, report, type Turn } from "./turn.ts";

export interface Moment {
  /** Milliseconds by the clock on the wall. */
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;
}

export function step(state: State, input: Input, moment: Moment): readonly [State, readonly Effect[]] {
  const turn: Turn = { state, effects: [], ...moment };
  take(turn, input);
  settle(turn);
  const connection = describe(turn.state);
  if (!sameConnection(connection, describe(state))) emit(turn, { type: "connection", connection });
  return [turn.state, turn.effects];
}

function take(turn: Turn, input: Input): void {
  const { phase, generation } = turn.state;
  switch (input.type) {
    case "start":
      if (phase.name === "idle") connect(turn);
      return;
    case "stop":
      return halt(turn, { name: "idle" }, false);
    case "retry":
      return retry(turn);
    case "subscribe":
      return begin(turn, input);
    case "update":
      return update(turn, input.id, input.filter);
    case "unsubscribe":
      return unsubscribe(turn, input.id);
    case "page":
      return page(turn, input.signal);
    case "answer":
      return answer(turn, input.epoch);
    case "timer":
      return timer(turn, input.name);
    case "opened":
      if (input.generation === generation && turn.state.token !== null) {
        act(turn, { type: "send", frame: { type: "hello", token: turn.state.token } });
      }
      return;
    case "frame":
      if (input.generation === generation) hear(turn, input.text);
      return;
    case "closed":
      if (input.generation === generation) closed(turn, input.code, input.reason);
      return;
  }
}

function begin(turn: Turn, input: Extract<Input, { type: "subscribe" }>): void {
  if (turn.state.subscriptions.size >= SUBSCRIPTIONS_MAX) {
    const detail = `at most ${SUBSCRIPTIONS_MAX} subscriptions on a connection; close one first`;
    return emit(turn, { type: "error", id: input.id, code: "too_many_subscriptions", detail });
  }
  subscribe(turn, { id: input.id, topic: input.topic, filter: input.filter, position: input.since });
}

function timer(turn: Turn, name: Extract<Input, { type: "timer" }>["name"]): void {
  if (name === "watch") watch(turn);
  else if (name === "restarted") change(turn, { restarted: false });
  else if (turn.state.phase.name === "waiting") connect(turn);
}

function hear(turn: Turn, text: string): void {
  heard(turn);
  const frame = readFrame(text);
  if (frame === "bad") return holed(turn, "", "a frame that cannot be trusted", "bad_frame");
  if (frame === "unknown") return report(turn, "unknown_frame", null, text.slice(0, 80));
  read(turn, frame);
}

function read(turn: Turn, frame: ServerFrame): void {
  const joined = turn.state.phase.name === "joined";
  switch (frame.type) {
    case "status":
      if (!joined) return status(turn, frame);
      // A socket that changes its epoch cannot be trusted with the rest.
      if (frame.epoch !== turn.state.epoch) lose(turn, "epoch");
      return;
    case "ping":
      return act(turn, { type: "send", frame: { type: "pong" } });
    case "goodbye":
      return goodbye(turn, frame.retry_after_ms);
    case "error":
      return refused(turn, frame.id ?? null, frame.code, frame.detail ?? "");
    case "subscribed":
    case "reset":
    case "snapshot":
    case "changes":
    case "events":
    case "bookmark":
    case "progress":
    case "logs":
    case "caught_up":
    case "fell_behind":
      if (joined) receive(turn, frame);
      return;
  }
}

/** A plain answer names its epoch too, and may know of a restart before the socket does. */
function answer(turn: Turn, epoch: string): void {
  const { epoch: known, outlived, suspect, phase } = turn.state;
  if (known === null) return change(turn, { epoch });
  if (known === epoch || outlived.includes(epoch)) return;
  report(turn, "foreign_answer", null, `an answer of epoch ${epoch}, we are in ${known}`);
  // Two servers behind one address would make us look for ever.
  if (suspect?.epoch === epoch && turn.now - suspect.at < SUSPICION_MS) return;
  change(turn, { suspect: { epoch, at: turn.now } });
  if (phase.name === "joined") reconnect(turn);
  else if (phase.name === "waiting") {
    change(turn, { attempt: 0 });
    connect(turn);
  }
}

/**
 * Live is when nothing is missed any more, and the epoch is known for what it is. Only that sets the tries back: a
 * server that dies at every hello is not hammered.
 */
function settle(turn: Turn): void {
  const { phase, subscriptions, undecided } = turn.state;
  if (phase.name !== "joined" || phase.live || undecided !== null) return;
  const done = [...subscriptions.values()].every((one) => one.phase === "live" || one.phase === "failed");
  if (!done) return;
  change(turn, { phase: { name: "joined", live: true }, attempt: 0 });
  if (turn.state.restarted) act(turn, { type: "timer", name: "restarted", inMs: RESTARTED_SHOWN_MS });
}

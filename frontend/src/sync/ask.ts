// Which subscriptions are asked for when the server has spoken, and what a new epoch means for them.
//
// After a new epoch nobody knows yet whether the log is the old one. Until one answer tells, whatever names a job is
// held back: after a reset that job does not exist, and asking for it would be asking about a stranger.

import { staleMs } from "./line.ts";
import type { ClientFrame, Filter, StatusFrame } from "./protocol.ts";
import type { EpochChange, Subscription } from "./state.ts";
import { act, change, drop, emit, put, type Turn } from "./turn.ts";

/** Whether it names a job, so that it means nothing in another log. */
function namesJob({ topic, filter }: Subscription): boolean {
  return topic === "logs" || filter.id !== undefined || filter.parent_id !== undefined;
}

/** Its answer tells whether the log still has our place. Others resume by other means, and their answers tell nothing. */
function canScout({ topic, position, phase }: Subscription): boolean {
  return position !== null && phase !== "failed" && (topic === "jobs" || topic === "events");
}

function isScouting(one: Subscription): boolean {
  return one.phase === "asked" && one.resuming && canScout(one);
}

/** Lines are asked for by number, and always said so: without `after` only what comes from now on would be meant. */
function filterOf({ topic, filter, line }: Subscription): Filter {
  return topic === "logs" ? { ...filter, after: line } : filter;
}

function send(turn: Turn, frame: ClientFrame): void {
  act(turn, { type: "send", frame });
}

function ask(turn: Turn, subscription: Subscription): void {
  const { id, topic, position } = subscription;
  put(turn, { ...subscription, phase: "asked", resuming: position !== null, owed: false, pages: 0 });
  send(turn, { type: "subscribe", id, topic, filter: filterOf(subscription), since: position });
}

function all(turn: Turn): Subscription[] {
  return [...turn.state.subscriptions.values()];
}

/** The one that goes ahead; one that names no job if there is any. */
function scoutOf(turn: Turn): Subscription | null {
  const able = all(turn).filter((one) => canScout(one) && (one.phase === "unsent" || one.phase === "held"));
  return able.find((one) => !namesJob(one)) ?? able[0] ?? null;
}

/** Our own subscription, seen by nobody: it asks what a place is worth when none of the page's can. */
export const PROBE_ID = "daybook:place";
/** No kind has this name, so that the probe's answer is all that comes of it. */
const PROBE_FILTER: Filter = { kind: "daybook.nothing" };

/** Sends the probe if anything is held back for it, or else gives up asking. */
function probe(turn: Turn): void {
  const place = all(turn).find((one) => one.phase !== "failed" && one.position !== null && namesJob(one))?.position;
  if (place === undefined || place === null) return decide(turn, "unknown");
  change(turn, { probing: true });
  send(turn, { type: "subscribe", id: PROBE_ID, topic: "events", filter: PROBE_FILTER, since: place });
}

/** What the probe's answer says, if it says anything: null for a frame that is no answer. */
export function probed(turn: Turn, what: EpochChange | null): void {
  if (what === null || !turn.state.probing) return;
  change(turn, { probing: false });
  send(turn, { type: "unsubscribe", id: PROBE_ID });
  decide(turn, what);
  askOpen(turn);
}

/** Asks for all that is open, or holds it back while the epoch is undecided. */
export function askOpen(turn: Turn): void {
  if (turn.state.phase.name !== "joined") return;
  const scouting = turn.state.probing || all(turn).some(isScouting);
  const scout = turn.state.undecided !== null && !scouting ? scoutOf(turn) : null;
  if (turn.state.undecided !== null && !scouting && scout === null) probe(turn);
  for (const one of all(turn)) {
    if (one.phase !== "unsent" && one.phase !== "held") continue;
    const held = turn.state.undecided !== null && namesJob(one) && one.id !== scout?.id;
    if (!held) ask(turn, one);
    else if (one.phase !== "held") put(turn, { ...one, phase: "held" });
  }
}

/** The new epoch is known for what it is: said once, before anything else that follows from it. */
export function decide(turn: Turn, what: EpochChange): void {
  const { undecided, epoch } = turn.state;
  if (undecided === null || epoch === null) return;
  change(turn, { undecided: null, restarted: true });
  emit(turn, { type: "epoch", what, previous: undecided.previous, epoch });
  if (what === "reset") {
    for (const one of all(turn).filter(({ phase }) => phase === "held")) {
      drop(turn, one.id);
      emit(turn, { type: "gone", id: one.id });
    }
  }
}

/** The server's first word: which epoch this is, and so what our positions are worth. */
export function status(turn: Turn, frame: StatusFrame): void {
  const { epoch: lived, saved, undecided, outlived, pingMs } = turn.state;
  const epoch = frame.epoch;
  // Of this page's life, or of the page that was here before it was loaded again.
  const previous = [lived, saved].find((known) => known !== null && known !== epoch) ?? null;
  change(turn, {
    phase: { name: "joined", live: false },
    epoch,
    saved: epoch,
    head: frame.seq,
    session: frame.session ?? null,
    pingMs: frame.ping_s > 0 ? frame.ping_s * 1000 : pingMs,
    // A second restart before the first was understood: the older epoch is the one that we hold things of.
    undecided: undecided ?? (previous === null ? null : { previous }),
  });
  if (saved !== epoch) act(turn, { type: "save", epoch });
  if (lived !== null && lived !== epoch) {
    change(turn, { outlived: [...outlived, lived].slice(-8), suspect: null });
    act(turn, { type: "abort", previous: lived, epoch });
  }
  act(turn, { type: "timer", name: "watch", inMs: staleMs(turn.state) });
  askOpen(turn);
}

export function subscribe(turn: Turn, one: Pick<Subscription, "id" | "topic" | "filter" | "position">): void {
  const { phase } = turn.state;
  const fresh = phase.name === "joined" && phase.live;
  const line = one.topic === "logs" ? (one.filter.after ?? 0) : 0;
  put(turn, { ...one, phase: "unsent", resuming: false, known: false, owed: false, pages: 0, line, fresh });
  askOpen(turn);
}

/** Another filter under the same id: what was held is not what is wanted now, so nothing is resumed. */
export function update(turn: Turn, id: string, filter: Filter): void {
  const { phase, subscriptions } = turn.state;
  const one = subscriptions.get(id);
  if (one === undefined) return;
  const fresh = phase.name === "joined" && phase.live;
  const line = one.topic === "logs" ? (filter.after ?? 0) : 0;
  const changed: Subscription = { ...one, filter, line, position: null, pages: 0, fresh };
  if (one.phase === "unsent" || one.phase === "held" || one.phase === "failed") {
    put(turn, { ...changed, phase: "unsent", resuming: false });
    askOpen(turn);
  } else if (one.phase === "asked") {
    // Two open questions under one id could not be told apart by their answers: this one waits for the other's.
    put(turn, { ...changed, owed: true });
  } else sendUpdate(turn, changed);
}

export function sendUpdate(turn: Turn, one: Subscription): void {
  put(turn, { ...one, phase: "asked", resuming: false, owed: false });
  send(turn, { type: "update", id: one.id, filter: filterOf(one) });
}

export function unsubscribe(turn: Turn, id: string): void {
  const one = turn.state.subscriptions.get(id);
  if (one === undefined) return;
  drop(turn, id);
  if (one.phase !== "unsent" && one.phase !== "held" && one.phase !== "failed") send(turn, { type: "unsubscribe", id });
  askOpen(turn);
}

/** The server refused it. It is not asked for again: the same question has the same answer. */
export function refused(turn: Turn, id: string | null, code: string, detail: string): void {
  if (id === PROBE_ID) return probed(turn, "unknown");
  const one = id === null ? undefined : turn.state.subscriptions.get(id);
  // About one that was closed meanwhile: nobody waits for it.
  if (id !== null && one === undefined) return;
  emit(turn, { type: "error", id, code, detail });
  if (one === undefined || one.phase !== "asked") return;
  // A refused update may leave the old filter alive there.
  if (one.known) send(turn, { type: "unsubscribe", id: one.id });
  const phase = one.owed ? "unsent" : "failed";
  put(turn, { ...one, phase, position: null, resuming: false, known: false, owed: false });
  askOpen(turn);
}

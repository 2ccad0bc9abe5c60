// Which subscriptions are asked for when the server has spoken, and what a new epoch means for them.
//
// After a new epoch nobody knows yet whether the log is the old one. Until one answer tells, whatever names a job is
// held back: after a reset that job does not exist, and asking for it would be asking about a stranger. What goes ahead
// to find out, the scout, therefore never names one: a list of the page, or else a question of our own.

import { SUBSCRIPTIONS_MAX } from "./limits.ts";
import { staleMs } from "./line.ts";
import type { ClientFrame, Filter, Position, StatusFrame } from "./protocol.ts";
import type { EpochChange, Subscription } from "./state.ts";
import { act, change, drop, emit, put, type Turn } from "./turn.ts";

/** Whether it names a job, so that it means nothing in another log. */
function namesJob({ topic, filter }: Subscription): boolean {
  return topic === "logs" || filter.id !== undefined || filter.parent_id !== undefined;
}

/** Waits to be asked for, now or when the epoch is decided. */
function isOpen({ phase }: Subscription): boolean {
  return phase === "unsent" || phase === "held";
}

/** Resumes by its place in the log. Others resume by other means, and their answers tell nothing about the log. */
function followsLog({ topic }: Subscription): boolean {
  return topic === "jobs" || topic === "events";
}

/**
 * Whether its answer tells what the new epoch is: a scout. It names no job, and its place is of the epoch that we left:
 * one of the epoch of now, or of one that was already decided about, would speak of another change than this.
 */
export function tells({ state }: Turn, one: Subscription): boolean {
  const { undecided } = state;
  return undecided !== null && one.position?.epoch === undecided.previous && followsLog(one) && !namesJob(one);
}

/** Whether it is not asked for yet: it may be about another log than the server's, and its answer would not say so. */
function waits(turn: Turn, one: Subscription): boolean {
  const { undecided, epoch, probing, subscriptions } = turn.state;
  if (undecided === null) return false;
  // Our own question is one more, and the server closes for one too many.
  if (probing && subscriptions.size >= SUBSCRIPTIONS_MAX) return true;
  // With a place of the epoch of now it is about the log of now.
  if (one.position?.epoch === epoch) return false;
  return namesJob(one) || (followsLog(one) && one.position !== null && !tells(turn, one));
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

/** Our own subscription, seen by nobody: it asks what a place is worth when none of the page's can. */
export const PROBE_ID = "daybook:place";
/** No kind has this name, so that the probe's answer is all that comes of it. */
const PROBE_FILTER: Filter = { kind: "daybook.nothing" };

/** A place of the epoch that we left. After a refresh there is none, unless a subscription brought one. */
function placeOfBefore(turn: Turn): Position | null {
  const { undecided } = turn.state;
  if (undecided === null) return null;
  if (undecided.seq !== null) return { epoch: undecided.previous, seq: undecided.seq };
  return all(turn).find(({ position }) => position?.epoch === undecided.previous)?.position ?? null;
}

/** Sends the probe, or gives up asking if there is nothing to ask about. */
function probe(turn: Turn): void {
  const since = placeOfBefore(turn);
  if (since === null) return decide(turn, "unknown");
  change(turn, { probing: true });
  send(turn, { type: "subscribe", id: PROBE_ID, topic: "events", filter: PROBE_FILTER, since });
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
  const { phase, undecided, probing } = turn.state;
  if (phase.name !== "joined") return;
  const scouted = all(turn).some((one) => tells(turn, one) && (isOpen(one) || one.resuming));
  if (undecided !== null && !probing && !scouted) probe(turn);
  for (const one of all(turn)) {
    if (!isOpen(one)) continue;
    if (!waits(turn, one)) ask(turn, one);
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
    const ofBefore = (one: Subscription): boolean => namesJob(one) && one.position?.epoch !== epoch;
    for (const one of all(turn).filter((one) => one.phase === "held" && ofBefore(one))) {
      drop(turn, one.id);
      emit(turn, { type: "gone", id: one.id });
    }
  }
}

/** The server's first word: which epoch this is, and so what our positions are worth. */
export function status(turn: Turn, frame: StatusFrame): void {
  const { epoch: lived, head, saved, undecided, outlived, pingMs } = turn.state;
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
    undecided: undecided ?? (previous === null ? null : { previous, seq: previous === lived ? head : null }),
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
  if (isOpen(one) || one.phase === "failed") {
    put(turn, { ...changed, phase: "unsent", resuming: false });
  } else if (one.phase === "asked") {
    // Two open questions under one id could not be told apart by their answers: this one waits for the other's.
    put(turn, { ...changed, owed: true });
  } else sendUpdate(turn, changed);
  // It may have been the scout: its old place is not asked about any more.
  askOpen(turn);
}

/** Under an answered id. One that must wait is taken back, so that the old filter does not go on meanwhile. */
export function sendUpdate(turn: Turn, one: Subscription): void {
  if (waits(turn, one)) {
    send(turn, { type: "unsubscribe", id: one.id });
    put(turn, { ...one, phase: "held", resuming: false, known: false, owed: false });
  } else {
    put(turn, { ...one, phase: "asked", resuming: false, owed: false });
    send(turn, { type: "update", id: one.id, filter: filterOf(one) });
  }
}

export function unsubscribe(turn: Turn, id: string): void {
  const one = turn.state.subscriptions.get(id);
  if (one === undefined) return;
  drop(turn, id);
  if (!isOpen(one) && one.phase !== "failed") send(turn, { type: "unsubscribe", id });
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

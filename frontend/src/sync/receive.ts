// What the server says about one subscription: checked against the place where we are, handed on, remembered as the
// next place. Nothing is handed on twice, and nothing after a hole is handed on at all.

import { askOpen, decide, PROBE_ID, probed, sendUpdate, tells } from "./ask.ts";
import { holed } from "./line.ts";
import type { Fields, Position, Row, Rows, SubscriptionFrame } from "./protocol.ts";
import type { EpochChange, Subscription } from "./state.ts";
import { change, emit, put, report, type Turn } from "./turn.ts";

type FrameOf<Type extends SubscriptionFrame["type"]> = Extract<SubscriptionFrame, { type: Type }>;

/** Seqs of a frame belong to the epoch that sent it, also those that an earlier epoch wrote. */
function at(turn: Turn, seq: number): Position {
  const { epoch, head } = turn.state;
  if (epoch === null) throw new Error("a frame is handed on only after `status`, which names the epoch");
  change(turn, { head: Math.max(head, seq) });
  return { epoch, seq };
}

function rowsOf(frame: Rows): readonly Row[] | readonly Fields[] {
  return frame.jobs ?? frame.queues ?? frame.workers ?? [];
}

function becomeLive(turn: Turn, one: Subscription, seq: number): void {
  put(turn, { ...one, phase: "live", position: at(turn, seq), resuming: false, fresh: false });
  emit(turn, { type: "live", id: one.id, seq });
}

function subscribed(turn: Turn, one: Subscription, frame: FrameOf<"subscribed">): void {
  if (one.resuming && frame.recovered && tells(turn, one)) {
    decide(turn, "restart");
    askOpen(turn);
  }
  const known = { ...one, known: true };
  if (one.owed) {
    sendUpdate(turn, known);
    return askOpen(turn);
  }
  if (frame.recovered && frame.mode === "resume") {
    put(turn, { ...known, phase: "catching_up" });
  } else if (frame.mode === "snapshot") {
    // Our place stays until the reset or the rows are here: cut before that, we must ask with it again, or nobody
    // would ever say that it was lost.
    put(turn, { ...known, phase: "snapshot", pages: 0 });
  } else if (one.resuming && !frame.recovered) {
    // A reset follows, and our place stays until then, as above.
    put(turn, { ...known, phase: "snapshot", pages: 0 });
  } else becomeLive(turn, known, frame.seq);
}

/** Only another log loses jobs. A place that is merely too far away (or gone from the log's old end) is the same log. */
function sameLog(reason: string): boolean {
  return reason === "trimmed" || reason === "too_far";
}

function reset(turn: Turn, one: Subscription, frame: FrameOf<"reset">): void {
  const same = sameLog(frame.reason);
  if (one.resuming && tells(turn, one)) decide(turn, same ? "restart" : "reset");
  if (one.topic === "logs") {
    // Lines are resumed by their number, so in the same log nothing is lost. In another one their job is there too, as
    // after a restore, or the server would have refused: its lines come from the first.
    if (!same) emit(turn, { type: "reset", id: one.id, reason: frame.reason });
    const anew = same ? one : { ...one, line: 0, filter: { ...one.filter, after: 0 } };
    if (!same || one.phase !== "live") becomeLive(turn, anew, frame.seq);
  } else {
    emit(turn, { type: "reset", id: one.id, reason: frame.reason });
    if (one.topic === "events") becomeLive(turn, one, frame.seq);
    else put(turn, { ...one, phase: "snapshot", position: null, resuming: false, pages: 0 });
  }
  askOpen(turn);
}

function snapshot(turn: Turn, one: Subscription, frame: FrameOf<"snapshot">): void {
  // A new snapshot may also come to one that was live: it starts over.
  const first = one.phase !== "snapshot" || one.pages === 0;
  // A server that answers a resume with rows and neither recovers nor resets must not leave the others waiting.
  if (one.resuming && tells(turn, one)) {
    decide(turn, "unknown");
    askOpen(turn);
  }
  const place = at(turn, frame.seq);
  emit(turn, { type: "snapshot", id: one.id, seq: frame.seq, first, more: frame.more, rows: rowsOf(frame) });
  // A half snapshot is no place to resume from.
  const paged = { ...one, phase: "snapshot" as const, position: null, resuming: false, pages: first ? 1 : one.pages + 1 };
  put(turn, paged);
  if (!frame.more) becomeLive(turn, paged, place.seq);
}

/** Whether a numbered frame is the next one. An old one is passed over; a hole ends the connection. */
function isNext(turn: Turn, one: Subscription, frame: { type: string; prev: number; seq: number }): boolean {
  const last = one.position?.seq;
  if (last === undefined || one.phase === "snapshot") {
    holed(turn, one.id, `${frame.type} before the snapshot was whole`, "gap");
    return false;
  }
  if (frame.seq <= last && frame.prev < last) {
    report(turn, "duplicate", one.id, `${frame.type} up to ${frame.seq} again, we are at ${last}`);
    return false;
  }
  if (frame.prev !== last || frame.seq < frame.prev) {
    holed(turn, one.id, `${frame.type} from ${frame.prev} to ${frame.seq}, we are at ${last}`, "gap");
    return false;
  }
  return true;
}

function numbered(turn: Turn, one: Subscription, frame: FrameOf<"changes" | "events" | "bookmark">): void {
  if (!isNext(turn, one, frame)) return;
  put(turn, { ...one, position: at(turn, frame.seq) });
  if (frame.type === "changes") {
    emit(turn, { type: "changes", id: one.id, seq: frame.seq, rows: rowsOf(frame), left: frame.left ?? [] });
  } else if (frame.type === "events") {
    emit(turn, { type: "events", id: one.id, seq: frame.seq, events: frame.events });
  }
}

function caughtUp(turn: Turn, one: Subscription, frame: FrameOf<"caught_up">): void {
  if (one.phase === "catching_up") becomeLive(turn, one, Math.max(frame.seq, one.position?.seq ?? 0));
}

function fellBehind(turn: Turn, one: Subscription, frame: FrameOf<"fell_behind">): void {
  const last = one.position?.seq;
  // Its seq is the last one delivered: if that is not ours, something on the way was lost.
  if (last !== undefined && frame.seq !== last && one.topic !== "logs") {
    return holed(turn, one.id, `fell behind at ${frame.seq}, we are at ${last}`, "gap");
  }
  put(turn, { ...one, phase: one.phase === "live" ? "catching_up" : one.phase });
  emit(turn, { type: "behind", id: one.id, seq: frame.seq });
}

function logs(turn: Turn, one: Subscription, frame: FrameOf<"logs">): void {
  const lines = frame.lines.filter(({ n }) => n > one.line);
  const first = lines[0];
  const last = lines.at(-1);
  if (first === undefined || last === undefined) return;
  // Old lines may have been dropped by retention while we were away: no reason to ask again, but never silent.
  if (one.line > 0 && first.n > one.line + 1) {
    report(turn, "missing_lines", one.id, `lines ${one.line + 1} to ${first.n - 1}`);
  }
  put(turn, { ...one, line: last.n });
  emit(turn, { type: "logs", id: one.id, job_id: frame.job_id, lines });
}

/** What an answer to the probe tells about the log. */
function verdictOf(frame: SubscriptionFrame): EpochChange | null {
  if (frame.type === "subscribed" && frame.recovered) return "restart";
  if (frame.type === "reset") return sameLog(frame.reason) ? "restart" : "reset";
  return null;
}

export function receive(turn: Turn, frame: SubscriptionFrame): void {
  if (frame.id === PROBE_ID) return probed(turn, verdictOf(frame));
  const one = turn.state.subscriptions.get(frame.id);
  // Given up, or not asked for on this socket: what was on its way meanwhile.
  if (one === undefined || one.phase === "unsent" || one.phase === "held" || one.phase === "failed") return;
  if (frame.type === "subscribed") return subscribed(turn, one, frame);
  // `subscribed` is always the first answer, so this belongs to what was asked before.
  if (one.phase === "asked") return;
  switch (frame.type) {
    case "reset":
      return reset(turn, one, frame);
    case "snapshot":
      return snapshot(turn, one, frame);
    case "changes":
    case "events":
    case "bookmark":
      return numbered(turn, one, frame);
    case "caught_up":
      return caughtUp(turn, one, frame);
    case "fell_behind":
      return fellBehind(turn, one, frame);
    case "progress":
      return emit(turn, { type: "progress", id: one.id, jobs: frame.jobs });
    case "logs":
      return logs(turn, one, frame);
  }
}

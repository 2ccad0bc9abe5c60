// What the machine remembers. Plain data, never changed in place: `step` makes a new one.

import type { ClientFrame, Fields, Filter, Line, LogEvent, Position, Row, Topic } from "./protocol.ts";

/**
 * Where a subscription stands on the socket of now.
 * `unsent`: to be asked for. `held`: waits until it is known whether its log still exists. `asked`: no answer yet,
 * so whatever still comes under its id belongs to what was asked before. `snapshot`: pages arrive. `catching_up`:
 * missed changes arrive. `live`. `failed`: the server refused it; it is not asked for again.
 */
export type SubscriptionPhase = "unsent" | "held" | "asked" | "snapshot" | "catching_up" | "live" | "failed";

export interface Subscription {
  readonly id: string;
  readonly topic: Topic;
  readonly filter: Filter;
  readonly phase: SubscriptionPhase;
  /** The last good place: `prev` of the next frame must be its seq, and a resume asks from here. Null: nothing is held. */
  readonly position: Position | null;
  /** Whether the question that is open was asked with a position. */
  readonly resuming: boolean;
  /** The server has answered it on this socket: it is taken back with `unsubscribe`, changed with `update`. */
  readonly known: boolean;
  /** The filter changed while a question was open: it is sent when that is answered. */
  readonly owed: boolean;
  /** Pages of the snapshot that have come. */
  readonly pages: number;
  /** Topic logs: the number of the last line. */
  readonly line: number;
  /** Made or changed while all was live: its first answer is not the connection catching up. */
  readonly fresh: boolean;
}

export type Phase =
  | { readonly name: "idle" }
  | { readonly name: "connecting"; readonly openedAt: number }
  /** The server has spoken. `live` is remembered, because the counter of tries is set back once only. */
  | { readonly name: "joined"; readonly live: boolean }
  | { readonly name: "waiting"; readonly retryAt: number; readonly reason: LossReason; readonly asked: boolean }
  | { readonly name: "stopped"; readonly code: number; readonly reason: string };

/** Why a connection ended. `asked` waits are those that the server asked for with `goodbye`. */
export type LossReason = "closed" | "goodbye" | "stall" | "no_status" | "gap" | "bad_frame" | "wake" | "epoch" | "asked_for";

export interface State {
  readonly phase: Phase;
  /** Counts sockets. What an older one still says is passed over. */
  readonly generation: number;
  readonly token: string | null;
  readonly visible: boolean;
  readonly online: boolean;
  readonly offlineAt: number | null;
  /** When the last frame came, by the clock on the wall: timers stand still while a machine sleeps. */
  readonly heardAt: number;
  readonly stale: boolean;
  readonly pingMs: number;
  readonly session: string | null;
  /** The largest seq that this epoch has shown us. */
  readonly head: number;
  /** The epoch of this page's life, from `status` or from an answer. */
  readonly epoch: string | null;
  /** The epochs that this page has outlived: their answers are old, and no reason to look again. */
  readonly outlived: readonly string[];
  /** What the tab's storage has. After a refresh it is only good for saying that the server restarted meanwhile. */
  readonly saved: string | null;
  /**
   * A new epoch of which it is not known yet whether its log still has what we hold. `seq` is how far we saw the epoch
   * that we left; null when only the tab's storage remembers it.
   */
  readonly undecided: { readonly previous: string; readonly seq: number | null } | null;
  /** A question of our own about it is open. */
  readonly probing: boolean;
  readonly restarted: boolean;
  readonly suspect: { readonly epoch: string; readonly at: number } | null;
  /** Tries since all was live. */
  readonly attempt: number;
  readonly gaps: { readonly count: number; readonly lastAt: number };
  readonly goodbye: { readonly retryAt: number } | null;
  readonly subscriptions: ReadonlyMap<string, Subscription>;
}

export interface Beginning {
  readonly token?: string | null;
  readonly saved?: string | null;
  readonly visible?: boolean;
  readonly online?: boolean;
}

export function initialState(beginning: Beginning, pingMs: number): State {
  return {
    phase: { name: "idle" },
    generation: 0,
    token: beginning.token ?? null,
    visible: beginning.visible ?? true,
    online: beginning.online ?? true,
    offlineAt: null,
    heardAt: 0,
    stale: false,
    pingMs,
    session: null,
    head: 0,
    epoch: null,
    outlived: [],
    saved: beginning.saved ?? null,
    undecided: null,
    probing: false,
    restarted: false,
    suspect: null,
    attempt: 0,
    gaps: { count: 0, lastAt: 0 },
    goodbye: null,
    subscriptions: new Map(),
  };
}

export type TimerName = "retry" | "watch" | "restarted";
export type PageSignal = "visible" | "hidden" | "online" | "offline" | "resumed" | "restored";

/** What happens to the machine. */
export type Input =
  | { readonly type: "start" }
  | { readonly type: "stop" }
  | { readonly type: "retry" }
  | { readonly type: "subscribe"; readonly id: string; readonly topic: Topic; readonly filter: Filter; readonly since: Position | null }
  | { readonly type: "update"; readonly id: string; readonly filter: Filter }
  | { readonly type: "unsubscribe"; readonly id: string }
  | { readonly type: "opened"; readonly generation: number }
  | { readonly type: "frame"; readonly generation: number; readonly text: string }
  | { readonly type: "closed"; readonly generation: number; readonly code: number; readonly reason: string }
  | { readonly type: "timer"; readonly name: TimerName }
  | { readonly type: "page"; readonly signal: PageSignal }
  | { readonly type: "answer"; readonly epoch: string };

/** What the machine has done to the world. */
export type Effect =
  | { readonly type: "open"; readonly generation: number }
  | { readonly type: "close"; readonly generation: number }
  | { readonly type: "send"; readonly frame: ClientFrame }
  | { readonly type: "timer"; readonly name: TimerName; readonly inMs: number }
  | { readonly type: "clear"; readonly name: TimerName }
  | { readonly type: "save"; readonly epoch: string }
  | { readonly type: "abort"; readonly previous: string; readonly epoch: string }
  | { readonly type: "emit"; readonly event: SyncEvent };

/** What a new epoch turned out to be. `unknown`: nothing was held, so there was nothing to ask about. */
export type EpochChange = "restart" | "reset" | "unknown";

export type Anomaly =
  | "gap"
  | "duplicate"
  | "missing_lines"
  | "bad_frame"
  | "unknown_frame"
  | "stall"
  | "no_status"
  | "foreign_answer";

/** What listeners hear. Wire fields keep their names. */
export type SyncEvent =
  | { readonly type: "connection"; readonly connection: Connection }
  | { readonly type: "epoch"; readonly what: EpochChange; readonly previous: string; readonly epoch: string }
  | { readonly type: "reset"; readonly id: string; readonly reason: string }
  | {
      readonly type: "snapshot";
      readonly id: string;
      readonly seq: number;
      readonly first: boolean;
      readonly more: boolean;
      readonly rows: readonly Row[] | readonly Fields[];
    }
  | {
      readonly type: "changes";
      readonly id: string;
      readonly seq: number;
      readonly rows: readonly Row[] | readonly Fields[];
      readonly left: readonly string[];
    }
  | { readonly type: "events"; readonly id: string; readonly seq: number; readonly events: readonly LogEvent[] }
  | { readonly type: "progress"; readonly id: string; readonly jobs: readonly { readonly id: string; readonly progress: unknown }[] }
  | { readonly type: "logs"; readonly id: string; readonly job_id: string; readonly lines: readonly Line[] }
  | { readonly type: "live"; readonly id: string; readonly seq: number }
  | { readonly type: "behind"; readonly id: string; readonly seq: number }
  | { readonly type: "gone"; readonly id: string }
  | { readonly type: "error"; readonly id: string | null; readonly code: string; readonly detail: string }
  | { readonly type: "anomaly"; readonly what: Anomaly; readonly id: string | null; readonly detail: string };

/** What the pill shows. Made from the state alone, so it cannot disagree with it. */
export type Connection = { readonly restarted: boolean } & (
  | { readonly state: "idle" | "connecting" | "catching_up" | "live" | "stale" }
  /** `retryAt`: milliseconds of the wall's clock, for a countdown. Null while a try is under way. */
  | { readonly state: "offline"; readonly retryAt: number | null }
  | { readonly state: "waiting"; readonly retryAt: number; readonly reason: LossReason }
  | { readonly state: "stopped"; readonly code: number; readonly reason: string }
);

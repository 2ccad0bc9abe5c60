// What the package offers. Everything else is inside.

export { browserPorts } from "./browser.ts";
export { pillOf, type Pill } from "./describe.ts";
export {
  EPOCH_KEY,
  Sync,
  type SubscriptionEvent,
  type SubscriptionHandle,
  type SyncOptions,
  type Wanted,
} from "./engine.ts";
export { EpochChanged } from "./guard.ts";
export { JobMirror, type MirrorOptions } from "./mirror.ts";
export type { Clock, Page, Ports, Socket, SocketHandlers, Storage } from "./ports.ts";
export type { Fields, Filter, Line, LogEvent, Position, Row, Topic } from "./protocol.ts";
export type { Anomaly, Connection, EpochChange, LossReason, PageSignal, SyncEvent } from "./state.ts";

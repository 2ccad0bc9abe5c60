// Every bound of the engine, with its unit and its reason.

/** The first wait after a loss is a random part of this. Below 300 ms: a person who watches sees no pause. */
export const BACKOFF_BASE_MS = 250;
/** The longest wait while somebody looks at the page. */
export const BACKOFF_VISIBLE_MAX_MS = 3_000;
/** The longest wait of a page that nobody looks at: a hundred forgotten tabs must not knock every 3 s. */
export const BACKOFF_HIDDEN_MAX_MS = 30_000;
/** No wait is shorter, so that a server that closes at once is not asked in a tight loop. */
export const BACKOFF_FLOOR_MS = 50;
/** A server that says goodbye may ask for this long at most. */
export const RETRY_AFTER_MAX_MS = 60_000;
/** A connection that has not heard `status` within this is given up. */
export const CONNECT_MS = 10_000;
/** How often the server pings when its `status` does not say. */
export const PING_DEFAULT_S = 10;
/** So many times the ping's interval without a frame is a stall; half of it makes the connection stale. */
export const STALL_PINGS = 2.5;
/** The server closes with 4505 above this; we refuse before it does. */
export const SUBSCRIPTIONS_MAX = 256;
/** Gaps closer together than this are counted together, and each one waits longer than the one before. */
export const GAP_MEMORY_MS = 30_000;
/** An answer of the same foreign epoch makes us look again at most this often. */
export const SUSPICION_MS = 10_000;
/** How long "the server restarted" stays on the pill once all is live again. */
export const RESTARTED_SHOWN_MS = 5_000;
/** What a mirror holds at most unless told otherwise: ten snapshots of the usual size. */
export const MIRROR_ROWS_MAX = 10_000;
/** How many rows that left a mirror remembers, so that an older answer does not bring them back. */
export const MIRROR_LEFT_MAX = 1_024;

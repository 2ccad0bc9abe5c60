// The connection in words for a person, made from the state and nothing else.

import type { Connection, State } from "./state.ts";

export function describe(state: State): Connection {
  const { phase, restarted, online, stale, subscriptions } = state;
  switch (phase.name) {
    case "idle":
      return { state: "idle", restarted };
    case "stopped":
      return { state: "stopped", code: phase.code, reason: phase.reason, restarted };
    case "waiting":
      if (!online) return { state: "offline", retryAt: phase.retryAt, restarted };
      return { state: "waiting", retryAt: phase.retryAt, reason: phase.reason, restarted };
    case "connecting":
      return online ? { state: "connecting", restarted } : { state: "offline", retryAt: null, restarted };
    case "joined":
      if (stale) return online ? { state: "stale", restarted } : { state: "offline", retryAt: null, restarted };
      if (!phase.live) return { state: "catching_up", restarted };
      // One that fell behind is catching up; one that was only now asked for is loading, and the pill need not blink.
      if ([...subscriptions.values()].some((one) => one.phase === "catching_up" && !one.fresh)) {
        return { state: "catching_up", restarted };
      }
      return { state: "live", restarted };
  }
}

export function sameConnection(a: Connection, b: Connection): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

export type Pill = "live" | "catching-up" | "restarted" | "offline";

/** The four words of the page's `data-connection`. */
export function pillOf(connection: Connection): Pill {
  switch (connection.state) {
    case "live":
      return connection.restarted ? "restarted" : "live";
    case "catching_up":
      return connection.restarted ? "restarted" : "catching-up";
    case "connecting":
    case "stale":
      return "catching-up";
    case "idle":
    case "waiting":
    case "offline":
    case "stopped":
      return "offline";
  }
}

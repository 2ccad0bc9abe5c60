// The world as the engine sees it. The browser's is in `browser.ts`; tests hand in their own.

import type { PageSignal } from "./state.ts";

export interface Clock {
  /** Milliseconds by the clock on the wall. It must go on while the machine sleeps. */
  now(): number;
  /** Calls `run` once, not before `inMs`; returns what cancels it. It may be late by any time. */
  after(inMs: number, run: () => void): () => void;
}

export interface Socket {
  send(text: string): void;
  close(): void;
}

export interface SocketHandlers {
  opened(): void;
  frame(text: string): void;
  /** Also when it never opened. `code` is 1006 when the other side said nothing. */
  closed(code: number, reason: string): void;
}

export interface Storage {
  get(key: string): string | null;
  set(key: string, value: string): void;
}

export interface Page {
  visible(): boolean;
  online(): boolean;
  /** Returns what ends the listening. */
  listen(hear: (signal: PageSignal) => void): () => void;
}

export interface Ports {
  readonly clock: Clock;
  /** In [0, 1). */
  random(): number;
  socket(url: string, protocol: string, handlers: SocketHandlers): Socket;
  readonly storage: Storage;
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  readonly page: Page;
  /** A listener threw: shown, and never allowed to stop the machine. */
  failed(error: unknown): void;
}

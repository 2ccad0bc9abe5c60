// The machine in its world: inputs are queued and taken one by one, effects are done in order. Decides nothing.

import { browserPorts } from "./browser.ts";
import { describe } from "./describe.ts";
import { Guard } from "./guard.ts";
import { PING_DEFAULT_S } from "./limits.ts";
import type { Ports, Socket } from "./ports.ts";
import type { Filter, Position, Topic } from "./protocol.ts";
import { initialState, type Connection, type Effect, type Input, type State, type SyncEvent, type TimerName } from "./state.ts";
import { step } from "./step.ts";

/** The epoch only, never a seq: after a refresh memory is empty, and resuming from a stored seq would leave a hole. */
export const EPOCH_KEY = "daybook:epoch";
const PROTOCOL = "daybook.v1";

export interface SyncOptions {
  /** Of `/api/live`, absolute or relative to the page. */
  readonly url?: string | URL;
  /** Sent as `hello` when the server asks for a token. */
  readonly token?: string | null;
  /** What a test replaces. */
  readonly ports?: Partial<Ports>;
}

export interface Wanted {
  readonly topic: Topic;
  readonly filter?: Filter;
  /** Where what the caller holds already ends (`Daybook-Epoch` and `Daybook-Seq` of a list). Null: nothing is held. */
  readonly since?: Position | null;
  /** Made up when left out. Not used again after `close`. */
  readonly id?: string;
}

/** Events about one subscription; what may be about none names it here as well. */
export type SubscriptionEvent = Extract<SyncEvent, { readonly id: string }> | Extract<SyncEvent, { readonly type: "error" | "anomaly" }>;

export interface SubscriptionHandle {
  readonly id: string;
  /** Asks for something else under the same id; a new snapshot follows. */
  update(filter: Filter): void;
  close(): void;
}

export class Sync {
  readonly #ports: Ports;
  readonly #url: string;
  readonly #guard: Guard;
  readonly #listeners = new Set<(event: SyncEvent) => void>();
  readonly #subscribers = new Map<string, (event: SubscriptionEvent) => void>();
  readonly #timers = new Map<TimerName, () => void>();
  readonly #inputs: Input[] = [];
  #state: State;
  #socket: Socket | null = null;
  #unlisten: (() => void) | null = null;
  #turning = false;
  #made = 0;

  constructor(options: SyncOptions = {}) {
    this.#ports = { ...browserPorts(), ...options.ports };
    this.#url = absolute(options.url ?? "/api/live");
    const { page, storage } = this.#ports;
    const beginning = {
      token: options.token ?? null,
      saved: storage.get(EPOCH_KEY),
      visible: page.visible(),
      online: page.online(),
    };
    this.#state = initialState(beginning, PING_DEFAULT_S * 1000);
    this.#guard = new Guard(this.#ports, {
      epoch: () => this.#state.epoch,
      answered: (epoch) => this.#take({ type: "answer", epoch }),
    });
  }

  /** Connects, and stays connected until `stop`. */
  start(): void {
    this.#unlisten ??= this.#ports.page.listen((signal) => this.#take({ type: "page", signal }));
    this.#take({ type: "start" });
  }

  /** Closes in order. Subscriptions and their places stay: a later `start` resumes. */
  stop(): void {
    this.#unlisten?.();
    this.#unlisten = null;
    this.#take({ type: "stop" });
  }

  /** "Retry now": ends a wait, also after a stop that the server asked for. */
  retry(): void {
    this.#take({ type: "retry" });
  }

  subscribe(wanted: Wanted, hear: (event: SubscriptionEvent) => void): SubscriptionHandle {
    const id = wanted.id ?? `s${++this.#made}`;
    if (this.#subscribers.has(id)) throw new Error(`subscription ${id} is open already; close it or update it`);
    this.#subscribers.set(id, hear);
    this.#take({ type: "subscribe", id, topic: wanted.topic, filter: wanted.filter ?? {}, since: wanted.since ?? null });
    return {
      id,
      update: (filter) => {
        if (this.#subscribers.get(id) === hear) this.#take({ type: "update", id, filter });
      },
      close: () => {
        if (this.#subscribers.get(id) !== hear) return;
        this.#subscribers.delete(id);
        this.#take({ type: "unsubscribe", id });
      },
    };
  }

  /** Hears everything: the pill, epochs, anomalies, and the events of all subscriptions. Returns what ends it. */
  listen(hear: (event: SyncEvent) => void): () => void {
    this.#listeners.add(hear);
    return () => this.#listeners.delete(hear);
  }

  get connection(): Connection {
    return describe(this.#state);
  }

  get epoch(): string | null {
    return this.#state.epoch;
  }

  /** Of this connection, for `X-Session-Id`. */
  get session(): string | null {
    return this.#state.session;
  }

  /** Ends when the epoch does. */
  get signal(): AbortSignal {
    return this.#guard.signal;
  }

  /** `fetch`, guarded: rejects with `EpochChanged` instead of answering for a server that is no more. */
  readonly fetch = (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => this.#guard.fetch(input, init);

  /** Listeners may call us back: such inputs wait until this turn is done, so that everybody sees turns in order. */
  #take(input: Input): void {
    this.#inputs.push(input);
    if (this.#turning) return;
    this.#turning = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        const { clock, random } = this.#ports;
        const [state, effects] = step(this.#state, next, { now: clock.now(), random: random() });
        this.#state = state;
        for (const effect of effects) this.#do(effect);
      }
    } finally {
      this.#turning = false;
    }
  }

  #do(effect: Effect): void {
    switch (effect.type) {
      case "open":
        return this.#open(effect.generation);
      case "close":
        this.#socket?.close();
        this.#socket = null;
        return;
      case "send":
        return this.#socket?.send(JSON.stringify(effect.frame));
      case "timer":
        this.#timers.get(effect.name)?.();
        this.#timers.set(
          effect.name,
          this.#ports.clock.after(effect.inMs, () => this.#take({ type: "timer", name: effect.name })),
        );
        return;
      case "clear":
        this.#timers.get(effect.name)?.();
        this.#timers.delete(effect.name);
        return;
      case "save":
        return this.#ports.storage.set(EPOCH_KEY, effect.epoch);
      case "abort":
        return this.#guard.abort(effect.previous, effect.epoch);
      case "emit":
        return this.#emit(effect.event);
    }
  }

  #open(generation: number): void {
    this.#socket = null;
    try {
      this.#socket = this.#ports.socket(this.#url, PROTOCOL, {
        opened: () => this.#take({ type: "opened", generation }),
        frame: (text) => this.#take({ type: "frame", generation, text }),
        closed: (code, reason) => this.#take({ type: "closed", generation, code, reason }),
      });
    } catch (error) {
      // A page's policy may forbid it outright. It is shown, and tried again like any other loss.
      this.#ports.failed(error);
      this.#take({ type: "closed", generation, code: 1006, reason: "the socket could not be made" });
    }
  }

  #emit(event: SyncEvent): void {
    for (const hear of [...this.#listeners]) this.#tell(hear, event);
    if ("id" in event && event.id !== null) {
      const hear = this.#subscribers.get(event.id);
      // The server will not speak of it again: the id is free.
      if (event.type === "gone") this.#subscribers.delete(event.id);
      if (hear !== undefined) this.#tell(hear, event as SubscriptionEvent);
    }
  }

  #tell<E>(hear: (event: E) => void, event: E): void {
    try {
      hear(event);
    } catch (error) {
      this.#ports.failed(error);
    }
  }
}

/** `ws:` or `wss:` as the page is `http:` or `https:`. */
function absolute(url: string | URL): string {
  const base = typeof location === "undefined" ? undefined : location.href;
  const whole = new URL(url, base);
  whole.protocol = whole.protocol.replace(/^http/, "ws");
  return whole.href;
}

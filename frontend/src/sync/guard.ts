// Keeps answers of one run of the server out of the next. Every request joins a controller that lasts as long as the
// epoch; every answer that names another epoch is thrown away. What was being sent when the epoch ended may have been
// done or not: send changes with an `Idempotency-Key` and ask again.

import type { Ports } from "./ports.ts";

/** The server that was asked is not the server of now. `code` is stable. */
export class EpochChanged extends Error {
  readonly code = "epoch_changed";
  readonly previous: string | null;
  readonly epoch: string | null;

  constructor(previous: string | null, epoch: string | null) {
    super("the server restarted while it was asked; ask again");
    this.name = "EpochChanged";
    this.previous = previous;
    this.epoch = epoch;
  }
}

export interface GuardedBy {
  /** The epoch of now, if any is known yet. */
  epoch(): string | null;
  /** An answer names this epoch. */
  answered(epoch: string): void;
}

export class Guard {
  readonly #ports: Pick<Ports, "fetch">;
  readonly #by: GuardedBy;
  #controller = new AbortController();

  constructor(ports: Pick<Ports, "fetch">, by: GuardedBy) {
    this.#ports = ports;
    this.#by = by;
  }

  /** Lasts as long as the epoch: for work of the page's own that must not outlive it. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** A new epoch has begun: whatever is under way is ended, bodies that are still being read as well. */
  abort(previous: string, epoch: string): void {
    const ended = this.#controller;
    this.#controller = new AbortController();
    ended.abort(new EpochChanged(previous, epoch));
  }

  async fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const { signal } = this.#controller;
    const own = init?.signal ?? (input instanceof Request ? input.signal : null);
    const answer = await this.#ports.fetch(input, {
      ...init,
      signal: own === null ? signal : AbortSignal.any([own, signal]),
    });
    // An answer that arrived just before the end, and is looked at just after it.
    if (signal.aborted) throw signal.reason;
    const epoch = answer.headers.get("Daybook-Epoch");
    // Whoever answers without it is no Daybook: a proxy with an error of its own, which the caller should see.
    if (epoch === null) return answer;
    const known = this.#by.epoch();
    this.#by.answered(epoch);
    if (known === null || known === epoch) return answer;
    void answer.body?.cancel().catch(() => {});
    throw new EpochChanged(known, epoch);
  }
}

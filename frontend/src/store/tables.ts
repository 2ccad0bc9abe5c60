// The queues and the workers: small tables that a subscription of their own keeps whole, by key. Subscribed to while
// somebody looks, and a moment longer, so that going from page to page asks nothing anew.

import type { SubscriptionEvent, SubscriptionHandle, Wanted } from "../sync/index.ts";
import type { Frame } from "./frame.ts";
import { Signal, type Readable } from "./signal.ts";

/** How long a table is kept after the last one looked away. */
const KEPT_MS = 10_000;

export interface TableView<R> {
  /** By key. */
  readonly rows: readonly R[];
  readonly phase: "loading" | "ready" | "failed";
  readonly problem: string | null;
}

export interface TableParts<R> {
  readonly subscribe: (wanted: Wanted, hear: (event: SubscriptionEvent) => void) => SubscriptionHandle;
  readonly frame: Frame;
  readonly topic: "queues" | "workers";
  readonly key: (row: R) => string;
  readonly after?: (ms: number, run: () => void) => () => void;
}

function afterTimeout(ms: number, run: () => void): () => void {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}

export class Table<R> implements Readable<TableView<R>> {
  readonly #parts: TableParts<R>;
  readonly #rows = new Map<string, R>();
  readonly #view = new Signal<TableView<R>>({ rows: [], phase: "loading", problem: null });
  #phase: TableView<R>["phase"] = "loading";
  #problem: string | null = null;
  #handle: SubscriptionHandle | null = null;
  #lookers = 0;
  #leaving: (() => void) | null = null;

  constructor(parts: TableParts<R>) {
    this.#parts = parts;
  }

  readonly get = (): TableView<R> => this.#view.get();

  readonly listen = (hear: () => void): (() => void) => {
    const end = this.#view.listen(hear);
    this.#lookers += 1;
    this.#leaving?.();
    this.#leaving = null;
    this.#handle ??= this.#parts.subscribe({ topic: this.#parts.topic }, (event) => this.#hear(event));
    return () => {
      end();
      this.#lookers -= 1;
      if (this.#lookers === 0) this.#leaving = (this.#parts.after ?? afterTimeout)(KEPT_MS, () => this.#close());
    };
  };

  clear(): void {
    this.#rows.clear();
    this.#phase = "loading";
    this.#mark();
  }

  #close(): void {
    this.#leaving = null;
    this.#handle?.close();
    this.#handle = null;
    this.clear();
  }

  #hear(event: SubscriptionEvent): void {
    if (event.type === "snapshot" || event.type === "changes") {
      if (event.type === "snapshot" && event.first) this.#rows.clear();
      // What comes on our topic are rows as the server's schemas say.
      for (const row of event.rows as readonly unknown[] as readonly R[]) this.#rows.set(this.#parts.key(row), row);
      if (event.type === "changes") for (const key of event.left) this.#rows.delete(key);
      else if (!event.more) this.#phase = "ready";
    } else if (event.type === "reset" || event.type === "gone") {
      this.#rows.clear();
      this.#phase = "loading";
    } else if (event.type === "error") {
      this.#phase = "failed";
      this.#problem = event.detail;
    }
    this.#mark();
  }

  #mark(): void {
    this.#parts.frame.mark(this.#flush);
  }

  readonly #flush = (): void => {
    const rows = [...this.#rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
    this.#view.set({ rows, phase: this.#phase, problem: this.#problem });
  };
}

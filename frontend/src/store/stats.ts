// Counts and rates, asked for while somebody looks: soon after rows changed, and now and then in any case. An idle page
// asks little, and nothing is shown of a log that is no more.

import { getStats, type Api } from "../api/index.ts";
import type { StatsBody } from "../api/types.gen.ts";
import { Soon, type Around } from "./around.ts";
import type { RowStore } from "./rows.ts";
import { Signal, type Readable } from "./signal.ts";

const IDLE_MS = 10_000;
const BUSY_MS = 1_000;

export interface StatsParts {
  readonly api: Api;
  readonly rows: Pick<RowStore, "watch">;
  readonly around: Pick<Around, "after">;
  /** Null: the server has not said yet which run of it this is, and nothing is asked for. */
  readonly epoch: () => string | null;
}

export class Stats implements Readable<StatsBody | undefined> {
  readonly #parts: StatsParts;
  readonly #view = new Signal<StatsBody | undefined>(undefined);
  readonly #soon: Soon;
  #lookers = 0;
  #asking: AbortController | null = null;
  #unwatch: (() => void) | null = null;

  constructor(parts: StatsParts) {
    this.#parts = parts;
    this.#soon = new Soon(parts.around);
  }

  readonly get = (): StatsBody | undefined => this.#view.get();

  readonly listen = (hear: () => void): (() => void) => {
    const end = this.#view.listen(hear);
    this.#lookers += 1;
    this.#unwatch ??= this.#parts.rows.watch(() => this.#soon.run("changed", BUSY_MS, this.ask));
    this.ask();
    return () => {
      end();
      this.#lookers -= 1;
      if (this.#lookers === 0) this.#rest();
    };
  };

  /** Asks, if somebody looks and nothing is under way. */
  readonly ask = (): void => {
    if (this.#lookers === 0 || this.#asking !== null || this.#parts.epoch() === null) return;
    const asking = new AbortController();
    this.#asking = asking;
    const done = (stats?: StatsBody): void => {
      if (this.#asking !== asking) return;
      this.#asking = null;
      if (stats !== undefined) this.#view.set(stats);
      this.#soon.run("again", IDLE_MS, this.ask);
    };
    // What was not answered is asked for again like what was: until then the last counts stay.
    getStats(this.#parts.api, { signal: asking.signal }).then(done, () => done());
  };

  /** Another run of the server answers from now on. */
  renew(): void {
    this.#stop();
    this.ask();
  }

  clear(): void {
    this.#stop();
    this.#view.set(undefined);
  }

  #stop(): void {
    this.#asking?.abort();
    this.#asking = null;
    this.#soon.clear();
  }

  #rest(): void {
    this.#unwatch?.();
    this.#unwatch = null;
    this.#stop();
  }
}

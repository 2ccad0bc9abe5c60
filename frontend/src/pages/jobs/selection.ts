// Which jobs are selected: some by id, or all that match the filter. It is forgotten with another filter and with
// another log: what was chosen there means nothing here.

import type { Ids, Readable } from "../../store/index.ts";
import { Signal } from "../../store/index.ts";

export interface Selected {
  readonly ids: ReadonlySet<string>;
  /** All that match, also those that nobody has read. */
  readonly all: boolean;
}

const NONE: Selected = { ids: new Set(), all: false };

export class Selection implements Readable<Selected> {
  readonly #signal = new Signal<Selected>(NONE);
  /** Where a range begins. */
  #anchor: string | null = null;

  readonly get = (): Selected => this.#signal.get();
  readonly listen = (hear: () => void): (() => void) => this.#signal.listen(hear);

  has(id: string): boolean {
    const { ids, all } = this.get();
    return all || ids.has(id);
  }

  /** One taken out of all leaves those that the list has: the others cannot be named. */
  toggle(id: string, list: Ids): void {
    const { all, ids } = this.get();
    const next = new Set(all ? list : ids);
    if (!next.delete(id)) next.add(id);
    this.#anchor = id;
    this.#signal.set({ ids: next, all: false });
  }

  add(id: string): void {
    this.#anchor ??= id;
    if (!this.has(id)) this.#signal.set({ ids: new Set(this.get().ids).add(id), all: false });
  }

  /** All from the one before to this one, in the order of the list. */
  range(id: string, list: Ids): void {
    const [from, to] = [this.#anchor === null ? -1 : list.indexOf(this.#anchor), list.indexOf(id)];
    if (from < 0 || to < 0) return this.toggle(id, list);
    const next = new Set(this.get().ids);
    for (let at = Math.min(from, to); at <= Math.max(from, to); at++) {
      const one = list.at(at);
      if (one !== undefined) next.add(one);
    }
    this.#signal.set({ ids: next, all: false });
  }

  loaded(list: Ids): void {
    this.#signal.set({ ids: new Set(list), all: false });
  }

  everything(): void {
    this.#signal.set({ ids: new Set(), all: true });
  }

  clear(): void {
    this.#anchor = null;
    this.#signal.set(NONE);
  }
}

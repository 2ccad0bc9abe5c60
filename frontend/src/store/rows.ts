// All rows of jobs that somebody shows, by id: the newest seq wins, whoever brings it. A row is kept as long as
// somebody holds it, because only then a subscription keeps it true. Asks nobody anything.

import type { JobRow, ProgressRow } from "../api/types.gen.ts";
import type { Frame } from "./frame.ts";

interface Held {
  row: JobRow;
  holders: number;
}

export class RowStore {
  readonly #frame: Frame;
  readonly #rows = new Map<string, Held>();
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #dirty = new Set<string>();
  readonly #watchers = new Set<() => void>();

  constructor(frame: Frame) {
    this.#frame = frame;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(id: string): JobRow | undefined {
    return this.#rows.get(id)?.row;
  }

  /** Hears of changes of one row, once a frame. */
  listen(id: string, hear: () => void): () => void {
    const listeners = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, listeners.add(hear));
    return () => {
      listeners.delete(hear);
      if (listeners.size === 0 && this.#listeners.get(id) === listeners) this.#listeners.delete(id);
    };
  }

  /** Hears, once a frame, that something changed. */
  watch(hear: () => void): () => void {
    this.#watchers.add(hear);
    return () => this.#watchers.delete(hear);
  }

  /** Takes the row and keeps it until `release`. */
  hold(row: JobRow): void {
    const held = this.#rows.get(row.id);
    if (held === undefined) {
      this.#rows.set(row.id, { row, holders: 1 });
      this.#touch(row.id);
      return;
    }
    held.holders += 1;
    this.put(row);
  }

  release(id: string): void {
    const held = this.#rows.get(id);
    if (held === undefined) return;
    held.holders -= 1;
    if (held.holders > 0) return;
    this.#rows.delete(id);
    this.#touch(id);
  }

  /** A row from anywhere: taken if somebody holds it and it is not older. Equal: a page may have fresher progress. */
  put(row: JobRow): boolean {
    const held = this.#rows.get(row.id);
    if (held === undefined || row.seq < held.row.seq) return false;
    held.row = row;
    this.#touch(row.id);
    return true;
  }

  /** The latest progress, which has no number of its own. */
  progress(id: string, progress: ProgressRow | null): void {
    const held = this.#rows.get(id);
    if (held === undefined) return;
    held.row = { ...held.row, progress };
    this.#touch(id);
  }

  /** After a reset: all of it was of a log that is no more. */
  clear(): void {
    for (const id of this.#rows.keys()) this.#touch(id);
    this.#rows.clear();
  }

  #touch(id: string): void {
    this.#dirty.add(id);
    this.#frame.mark(this.#flush);
  }

  readonly #flush = (): void => {
    const changed = [...this.#dirty];
    this.#dirty.clear();
    for (const id of changed) {
      for (const hear of [...(this.#listeners.get(id) ?? [])]) hear();
    }
    for (const hear of [...this.#watchers]) hear();
  };
}

// A mirror of the jobs that match a filter: rows by id, the newer seq wins. Because of that rule pages of a list and
// changes may arrive in any order. It asks nobody anything; feed it the events of one subscription.

import { MIRROR_LEFT_MAX, MIRROR_ROWS_MAX } from "./limits.ts";
import type { Row } from "./protocol.ts";
import type { SyncEvent } from "./state.ts";

export interface MirrorOptions {
  /** The oldest rows beyond this are let go. */
  readonly rowsMax?: number;
}

export class JobMirror {
  readonly #rows = new Map<string, Row>();
  /** When each of the last rows to leave left: an answer that is older must not bring it back. */
  readonly #left = new Map<string, number>();
  readonly #rowsMax: number;

  constructor(options: MirrorOptions = {}) {
    this.#rowsMax = options.rowsMax ?? MIRROR_ROWS_MAX;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(id: string): Row | undefined {
    return this.#rows.get(id);
  }

  /** Newest first: ids are UUIDv7, so their order is that of submission. */
  list(): readonly Row[] {
    return [...this.#rows.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  }

  /** Takes an event of the subscription; returns the ids that changed, or "all". */
  apply(event: SyncEvent): ReadonlySet<string> | "all" {
    switch (event.type) {
      case "reset":
      case "gone":
        this.clear();
        return "all";
      case "snapshot":
        if (event.first) this.clear();
        this.put(event.rows as readonly Row[]);
        return "all";
      case "changes":
        return this.#changes(event.rows as readonly Row[], event.left, event.seq);
      case "progress":
        return this.#progress(event.jobs);
      case "connection":
      case "epoch":
      case "events":
      case "logs":
      case "live":
      case "behind":
      case "error":
      case "anomaly":
        return new Set();
    }
  }

  /** Rows from anywhere, a page of `GET /api/jobs` for instance. Returns the ids that were newer than what is held. */
  put(rows: readonly Row[]): Set<string> {
    const changed = new Set<string>();
    for (const row of rows) {
      const held = this.#rows.get(row.id)?.seq ?? this.#left.get(row.id) ?? -1;
      // Equal: the same event, but a page may have fresher progress.
      if (row.seq < held || (row.seq === held && !this.#rows.has(row.id))) continue;
      this.#rows.set(row.id, row);
      this.#left.delete(row.id);
      changed.add(row.id);
    }
    for (const id of this.#trim()) changed.add(id);
    return changed;
  }

  clear(): void {
    this.#rows.clear();
    this.#left.clear();
  }

  #changes(rows: readonly Row[], left: readonly string[], seq: number): ReadonlySet<string> {
    const changed = this.put(rows);
    for (const id of left) {
      const held = this.#rows.get(id);
      // A row from a newer answer: the change that made it match again is on its way, or has been here.
      if (held !== undefined && held.seq > seq) continue;
      this.#rows.delete(id);
      this.#left.delete(id);
      this.#left.set(id, seq);
      changed.add(id);
    }
    for (const id of this.#left.keys()) {
      if (this.#left.size <= MIRROR_LEFT_MAX) break;
      this.#left.delete(id);
    }
    return changed;
  }

  #progress(jobs: readonly { readonly id: string; readonly progress: unknown }[]): ReadonlySet<string> {
    const changed = new Set<string>();
    for (const { id, progress } of jobs) {
      const row = this.#rows.get(id);
      if (row === undefined) continue;
      this.#rows.set(id, { ...row, progress });
      changed.add(id);
    }
    return changed;
  }

  /** A tenth at once, so that a full mirror is not sorted at every new row. */
  #trim(): string[] {
    if (this.#rows.size <= this.#rowsMax) return [];
    const surplus = this.#rows.size - Math.floor(this.#rowsMax * 0.9);
    const oldest = [...this.#rows.keys()].sort().slice(0, surplus);
    for (const id of oldest) this.#rows.delete(id);
    return oldest;
  }
}

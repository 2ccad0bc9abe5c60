// Keeps a long list small: pages far from where one looks are given away, and read again when one comes near. One
// request at a time, always for what is looked at now: whoever flies past thousands of rows asks for few of them.

import type { JobRow } from "../api/types.gen.ts";
import type { Page } from "./list-parts.ts";
import type { Order } from "./order.ts";

/** So many rows beyond what is in view are kept or read. */
const NEAR_ROWS = 200;
/** After a failure. */
const AGAIN_MS = 3_000;
/** Pages to one chunk: more rows may match in it than when it was read first. */
const PAGES_MAX = 10;

export interface RefillParts {
  readonly order: () => Order;
  readonly page: (cursor: string, signal: AbortSignal) => Promise<Page>;
  readonly add: (row: JobRow) => void;
  readonly drop: (id: string) => void;
  readonly changed: () => void;
}

export class Refill {
  readonly #kept: number;
  readonly #parts: RefillParts;
  #near: readonly [first: number, last: number] = [0, 0];
  #reading: AbortController | null = null;
  #again: ReturnType<typeof setTimeout> | undefined = undefined;

  constructor(kept: number, parts: RefillParts) {
    this.#kept = kept;
    this.#parts = parts;
  }

  get busy(): boolean {
    return this.#reading !== null;
  }

  look(first: number, last: number): void {
    this.#near = [first, last];
    this.tidy();
    if (this.#reading === null) void this.#next();
  }

  /** Gives away what is too much. */
  tidy(): void {
    const order = this.#parts.order();
    if (order.held <= this.#kept) return;
    const near = this.#chunks().map(({ at }) => at);
    const gone = order.give(this.#kept, near);
    for (const id of gone) this.#parts.drop(id);
    if (gone.length > 0) this.#parts.changed();
  }

  stop(): void {
    this.#reading?.abort();
    this.#reading = null;
    this.#near = [0, 0];
    clearTimeout(this.#again);
  }

  #chunks() {
    return this.#parts.order().chunks(this.#near[0] - NEAR_ROWS, this.#near[1] + NEAR_ROWS);
  }

  async #next(): Promise<void> {
    for (let missing = this.#missing(); missing !== null; missing = this.#missing()) {
      const reading = new AbortController();
      this.#reading = reading;
      try {
        await this.#read(missing, reading);
      } catch {
        // The gap stays a while, and says so.
        if (this.#reading !== reading) return;
        this.#reading = null;
        this.#again = setTimeout(() => void (this.#reading === null ? this.#next() : null), AGAIN_MS);
        return;
      }
      if (this.#reading !== reading) return;
      this.#reading = null;
      this.tidy();
      this.#parts.changed();
    }
  }

  /** The chunk away that is nearest to the middle of what is looked at. */
  #missing(): number | null {
    const chunks = this.#chunks();
    const middle = chunks.length / 2;
    const away = chunks.map((chunk, at) => ({ ...chunk, far: Math.abs(at + 0.5 - middle) })).filter((chunk) => chunk.away);
    return away.sort((a, b) => a.far - b.far)[0]?.at ?? null;
  }

  async #read(at: number, reading: AbortController): Promise<void> {
    const order = this.#parts.order();
    const missing = order.missing(at);
    if (missing === null) return;
    const { floor, ceiling } = missing;
    const rows: JobRow[] = [];
    let cursor: string | null = missing.cursor;
    for (let pages = 0; pages < PAGES_MAX && cursor !== null; pages++) {
      const page: Page = await this.#parts.page(cursor, reading.signal);
      if (this.#reading !== reading) return;
      rows.push(...page.jobs.filter(({ id }) => id >= floor && (ceiling === "" || id < ceiling)));
      if (page.jobs.length > 0 && (page.jobs.at(-1)?.id ?? "") <= floor) break;
      cursor = page.next_cursor;
    }
    order.back(at);
    for (const row of rows) this.#parts.add(row);
  }
}

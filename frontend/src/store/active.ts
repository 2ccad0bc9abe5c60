// The strip of active jobs, the same on every page: the newest that are active, from the server and nothing else. What
// ended while the page was away, and dismissals, join it here.

import type { ListParts, ListView } from "./list-parts.ts";
import { JobList } from "./list.ts";
import type { Readable } from "./signal.ts";

/** Jobs on the strip at most. */
export const STRIP_ROWS = 20;

export class Active {
  readonly #list: JobList;

  constructor(parts: ListParts) {
    this.#list = new JobList(parts, { state: ["active"] }, STRIP_ROWS);
  }

  get view(): Readable<ListView> {
    return this.#list.view;
  }

  open(): void {
    this.#list.open();
  }

  clear(): void {
    this.#list.clear();
  }
}

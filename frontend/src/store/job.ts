// One job followed by its id: the subscription of its page. Its row is in the row store, held as long as this is open.

import type { JobRow, ProgressRow } from "../api/types.gen.ts";
import type { SubscriptionEvent, SubscriptionHandle } from "../sync/index.ts";
import type { ListParts } from "./list-parts.ts";

export class JobWatch {
  readonly #parts: Pick<ListParts, "subscribe" | "rows">;
  readonly #id: string;
  #handle: SubscriptionHandle | null = null;
  readonly #onLeft: () => void;
  #held = false;

  constructor(parts: Pick<ListParts, "subscribe" | "rows">, id: string, onLeft: () => void = () => {}) {
    this.#parts = parts;
    this.#id = id;
    this.#onLeft = onLeft;
  }

  open(): void {
    const filter = { id: this.#id };
    this.#handle ??= this.#parts.subscribe({ topic: "jobs", filter }, (event) => this.#hear(event));
  }

  close(): void {
    this.#handle?.close();
    this.#handle = null;
    this.#letGo();
  }

  #letGo(): void {
    if (this.#held) this.#parts.rows.release(this.#id);
    this.#held = false;
  }

  #hear(event: SubscriptionEvent): void {
    if (event.type === "snapshot" || event.type === "changes") {
      // What comes on topic `jobs` are rows as the server's schemas say.
      for (const row of event.rows as readonly unknown[] as readonly JobRow[]) {
        if (this.#held) this.#parts.rows.put(row);
        else this.#parts.rows.hold(row);
        this.#held = true;
      }
      if (event.type === "changes" && event.left.includes(this.#id)) {
        this.#letGo();
        this.#onLeft();
      }
    } else if (event.type === "progress") {
      for (const { id, progress } of event.jobs) this.#parts.rows.progress(id, progress as ProgressRow | null);
    } else if (event.type === "reset" || event.type === "gone") {
      this.#letGo();
    }
  }
}

// The log of one job, followed live: its last lines, bounded. What is older is not kept here; the server has it.

import type { KeptLine } from "../api/types.gen.ts";
import type { SubscriptionEvent, SubscriptionHandle } from "../sync/index.ts";
import type { Frame } from "./frame.ts";
import type { ListParts } from "./list-parts.ts";
import { Signal } from "./signal.ts";

export const LINES_MAX = 200_000;
/** Lines may be 64 KiB each. */
export const CHARACTERS_MAX = 50_000_000;
/** So many more are let pile up before the oldest go, so that letting go is rare. */
const SLACK_LINES = 10_000;

export interface LogView {
  /** In order of `n`. The same array as long as lines only come. */
  readonly lines: readonly KeptLine[];
  /** Grows with each change of `lines`. */
  readonly version: number;
  /** Lines that came before those, and are let go. */
  readonly before: number;
  readonly phase: "loading" | "live" | "gone" | "failed";
  readonly problem: string | null;
}

const EMPTY: LogView = { lines: [], version: 0, before: 0, phase: "loading", problem: null };

export class LogTail {
  readonly view = new Signal<LogView>(EMPTY);
  readonly #parts: Pick<ListParts, "subscribe"> & { readonly frame: Frame };
  readonly #id: string;
  readonly #max: number;
  #handle: SubscriptionHandle | null = null;
  #lines: KeptLine[] = [];
  #characters = 0;
  #phase: LogView["phase"] = "loading";
  #problem: string | null = null;

  constructor(parts: Pick<ListParts, "subscribe"> & { readonly frame: Frame }, id: string, max = LINES_MAX) {
    this.#parts = parts;
    this.#id = id;
    this.#max = max;
  }

  open(): void {
    this.#handle ??= this.#parts.subscribe({ topic: "logs", filter: { id: this.#id } }, (event) => this.#hear(event));
  }

  close(): void {
    this.#handle?.close();
    this.#handle = null;
    this.#clear();
  }

  #clear(): void {
    this.#lines = [];
    this.#characters = 0;
    this.#phase = "loading";
    this.#problem = null;
  }

  #hear(event: SubscriptionEvent): void {
    if (event.type === "logs") {
      // What comes on topic `logs` are lines as the server's schemas say.
      for (const line of event.lines as readonly KeptLine[]) {
        this.#lines.push(line);
        this.#characters += line.text.length;
      }
      this.#letGo();
    } else if (event.type === "reset") this.#clear();
    else if (event.type === "live") this.#phase = "live";
    else if (event.type === "gone") this.#phase = "gone";
    else if (event.type === "error") {
      this.#phase = "failed";
      this.#problem = event.detail;
    } else return;
    this.#parts.frame.mark(this.#flush);
  }

  #letGo(): void {
    const slack = Math.min(SLACK_LINES, this.#max);
    if (this.#lines.length <= this.#max + slack && this.#characters <= CHARACTERS_MAX) return;
    const from = Math.max(0, this.#lines.length - this.#max);
    let gone = 0;
    // Of a log of long lines fewer are kept: to nine tenths, so that the next line does not begin it again.
    while (gone < from || (this.#characters > CHARACTERS_MAX * 0.9 && gone < this.#lines.length - 1)) {
      this.#characters -= this.#lines[gone]?.text.length ?? 0;
      gone += 1;
    }
    this.#lines = this.#lines.slice(gone);
  }

  readonly #flush = (): void => {
    const first = this.#lines[0];
    const { version } = this.view.get();
    this.view.set({
      lines: this.#lines,
      version: version + 1,
      before: first === undefined ? 0 : first.n - 1,
      phase: this.#phase,
      problem: this.#problem,
    });
  };
}

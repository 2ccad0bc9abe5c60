// What the page says to its reader: one list, shown by one region that assistive technology reads out.

import { Signal, type Readable } from "./signal.ts";

export type Tone = "info" | "success" | "warning" | "error";

export interface Notice {
  readonly id: number;
  readonly tone: Tone;
  readonly title: string;
  readonly detail: string | null;
  /** How long it stays; null: until it is dismissed. */
  readonly stays_ms: number | null;
  readonly more?: NoticeMore | undefined;
}

/** A way on: opens what there is to know beside the words. */
export interface NoticeMore {
  readonly label: string;
  readonly run: () => void;
}

/** Older ones go. */
const NOTICES_MAX = 5;
const STAYS_MS = { info: 8_000, success: 5_000, warning: null, error: null } as const satisfies Record<Tone, number | null>;

export class Notices implements Readable<readonly Notice[]> {
  readonly #notices = new Signal<readonly Notice[]>([]);
  #made = 0;

  readonly get = (): readonly Notice[] => this.#notices.get();
  readonly listen = (hear: () => void): (() => void) => this.#notices.listen(hear);

  say(tone: Tone, title: string, detail: string | null = null): number {
    this.#made += 1;
    const notice = { id: this.#made, tone, title, detail, stays_ms: STAYS_MS[tone] };
    // The same words again are one notice, with its time anew.
    const others = this.get().filter((one) => one.title !== title || one.detail !== detail);
    this.#notices.set([...others, notice].slice(-NOTICES_MAX));
    return notice.id;
  }

  /** Other words for what was said; nothing if it was dismissed. */
  change(id: number, change: Partial<Omit<Notice, "id">>): void {
    if (!this.get().some((one) => one.id === id)) return;
    this.#notices.set(this.get().map((one) => (one.id === id ? { ...one, ...change } : one)));
  }

  dismiss(id: number): void {
    this.#notices.set(this.get().filter((one) => one.id !== id));
  }
}

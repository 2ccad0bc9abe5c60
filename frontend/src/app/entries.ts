// In which log each page of the browser's history was opened. After a reset one may still go back to them: then they ask
// for nothing of the log that is no more.

import type { HistoryLocation, RouterHistory } from "@tanstack/react-router";

type Entry = Pick<HistoryLocation, "pathname" | "state">;

export class Entries {
  readonly #log: () => number;
  readonly #logs = new Map<string, number>();

  /** `log` is the number of the log of now. */
  constructor(history: Pick<RouterHistory, "location" | "subscribe">, log: () => number) {
    this.#log = log;
    let last: Entry = history.location;
    this.#note(last, log());
    history.subscribe(({ location, action }) => {
      // The same page with other words in its address is as old as it was.
      const same = action.type === "REPLACE" && location.pathname === last.pathname;
      if (action.type === "PUSH" || action.type === "REPLACE") this.#note(location, same ? this.openedIn(last) : log());
      last = location;
    });
  }

  /** A page of before this one was loaded counts as opened now: its address is all that is known of it. */
  openedIn({ state }: Pick<Entry, "state">): number {
    return this.#logs.get(state.__TSR_key ?? "") ?? this.#log();
  }

  isOld(entry: Pick<Entry, "state">): boolean {
    return this.openedIn(entry) !== this.#log();
  }

  #note({ state }: Entry, log: number): void {
    if (state.__TSR_key !== undefined) this.#logs.set(state.__TSR_key, log);
  }
}

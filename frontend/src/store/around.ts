// What the stores need of the browser beside the line: what outlives the page, whether somebody looks, and time.

export interface Around {
  /** Shared by all tabs, and there after a refresh. Null: nothing is kept under this name. */
  read(name: string): string | null;
  write(name: string, text: string | null): void;
  /** Hears what other tabs write. */
  onWrite(name: string, hear: (text: string | null) => void): void;
  hidden(): boolean;
  /** Returns what takes it back. */
  after(ms: number, run: () => void): () => void;
}

export function browserAround(): Around {
  return {
    read: (name) => {
      try {
        return localStorage.getItem(name);
      } catch {
        return null;
      }
    },
    write: (name, text) => {
      try {
        if (text === null) localStorage.removeItem(name);
        else localStorage.setItem(name, text);
      } catch {
        // Switched off or full: then it lasts as long as the page.
      }
    },
    onWrite: (name, hear) => {
      if (typeof addEventListener === "undefined") return;
      addEventListener("storage", (event) => {
        if (event.key === name) hear(event.newValue);
      });
    },
    hidden: () => typeof document !== "undefined" && document.hidden,
    after: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
  };
}

/** Things to do soon, by name: what waits already is not asked for twice. */
export class Soon {
  readonly #after: Around["after"];
  readonly #waiting = new Map<string, () => void>();

  constructor({ after }: Pick<Around, "after">) {
    this.#after = after;
  }

  run(what: string, ms: number, run: () => void): void {
    if (this.#waiting.has(what)) return;
    const end = this.#after(ms, () => {
      this.#waiting.delete(what);
      run();
    });
    this.#waiting.set(what, end);
  }

  clear(): void {
    for (const end of this.#waiting.values()) end();
    this.#waiting.clear();
  }
}

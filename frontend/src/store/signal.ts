// The smallest store: a value, and those who want to hear that it changed. What React's `useSyncExternalStore` needs.

export interface Readable<T> {
  get(): T;
  /** Returns what ends it. */
  listen(hear: () => void): () => void;
}

export class Signal<T> implements Readable<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  // Bound: handed on as they are to `useSyncExternalStore`.
  readonly get = (): T => this.#value;

  readonly listen = (hear: () => void): (() => void) => {
    this.#listeners.add(hear);
    return () => this.#listeners.delete(hear);
  };

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const hear of [...this.#listeners]) hear();
  }
}

// The ids of a list, newest first. Ids are UUIDv7, so their own order is that of submission.

export class Order {
  readonly #ids: string[] = [];

  get size(): number {
    return this.#ids.length;
  }

  get first(): string | undefined {
    return this.#ids[0];
  }

  get last(): string | undefined {
    return this.#ids.at(-1);
  }

  has(id: string): boolean {
    return this.#ids[this.above(id)] === id;
  }

  /** How many are newer than this one. */
  above(id: string): number {
    let low = 0;
    let high = this.#ids.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ids[middle] ?? "") > id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** False: it was there. */
  add(id: string): boolean {
    const place = this.above(id);
    if (this.#ids[place] === id) return false;
    this.#ids.splice(place, 0, id);
    return true;
  }

  remove(id: string): boolean {
    const place = this.above(id);
    if (this.#ids[place] !== id) return false;
    this.#ids.splice(place, 1);
    return true;
  }

  /** A copy, without the first `from`. */
  list(from = 0): readonly string[] {
    return this.#ids.slice(from);
  }

  /** Takes the oldest beyond `size` away, and gives them. */
  cut(size: number): readonly string[] {
    return this.#ids.splice(size);
  }
}

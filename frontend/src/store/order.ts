// The ids of a list, newest first, in chunks: the newest, and then a chunk a page. Ids are UUIDv7, so their own order is
// that of submission. A chunk far from where one looks gives its ids away and keeps its place, until it is read again.
// What it shows is a snapshot that shares the chunks, so that a frame costs as many steps as there are pages, not rows.

/** What a list shows. Undefined at a place: a row that was dropped, and is read again when one comes near. */
export class Ids implements Iterable<string> {
  readonly #chunks: readonly (readonly string[] | number)[];
  /** Where each chunk begins; one more for the end. */
  readonly #starts: readonly number[];
  readonly #from: number;

  constructor(chunks: readonly (readonly string[] | number)[] = [], from = 0) {
    this.#chunks = chunks;
    this.#from = from;
    const starts = [-from];
    let end = -from;
    for (const chunk of chunks) starts.push((end += typeof chunk === "number" ? chunk : chunk.length));
    this.#starts = starts;
  }

  get length(): number {
    return Math.max(0, this.#starts.at(-1) ?? 0);
  }

  at(index: number): string | undefined {
    if (index < 0) return undefined;
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle + 1] ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    const chunk = this.#chunks[low];
    return typeof chunk === "object" ? chunk[index - (this.#starts[low] ?? 0)] : undefined;
  }

  indexOf(id: string): number {
    for (const [at, chunk] of this.#chunks.entries()) {
      if (typeof chunk === "number" || chunk.length === 0 || (chunk.at(-1) ?? "") > id) continue;
      const place = above(chunk, id);
      const index = (this.#starts[at] ?? 0) + place;
      return chunk[place] === id && index >= 0 ? index : -1;
    }
    return -1;
  }

  /** Those that are here, without the gaps. */
  *[Symbol.iterator](): Iterator<string> {
    let skip = this.#from;
    for (const chunk of this.#chunks) {
      if (typeof chunk !== "number") yield* chunk.slice(skip);
      skip = Math.max(0, skip - (typeof chunk === "number" ? chunk : chunk.length));
    }
  }

  map<T>(make: (id: string) => T): T[] {
    return [...this].map(make);
  }
}

interface Chunk {
  ids: string[];
  /** How many there were when they were given away; 0: they are here. */
  away: number;
  /** It covers the ids from here up to the floor of the chunk before it. */
  floor: string;
  /** What reads it again. Undefined: the head, which no cursor knows. */
  readonly cursor: string | undefined;
  /** A snapshot has it: copied before it is changed. */
  shared: boolean;
}

/** How many of these are newer. */
function above(ids: readonly string[], id: string): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ids[middle] ?? "") > id) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class Order {
  readonly #chunks: Chunk[] = [{ ids: [], away: 0, floor: "", cursor: undefined, shared: false }];
  #held = 0;
  #away = 0;
  #snapshot: { readonly from: number; readonly ids: Ids } | null = null;

  /** With those that were given away. */
  get size(): number {
    return this.#held + this.#away;
  }

  /** Those that are here. */
  get held(): number {
    return this.#held;
  }

  get head(): number {
    return this.#chunks[0]?.ids.length ?? 0;
  }

  get first(): string | undefined {
    return this.#chunks[0]?.ids[0];
  }

  get last(): string | undefined {
    return this.#chunks.findLast(({ ids }) => ids.length > 0)?.ids.at(-1);
  }

  /** How many of the head are newer than this one. */
  above(id: string): number {
    return above(this.#chunks[0]?.ids ?? [], id);
  }

  has(id: string): boolean {
    const chunk = this.#of(id);
    return chunk !== undefined && chunk.ids[above(chunk.ids, id)] === id;
  }

  /** False: it was there, or its place is away. */
  add(id: string): boolean {
    const chunk = this.#of(id);
    if (chunk === undefined || chunk.away > 0) return false;
    const place = above(chunk.ids, id);
    if (chunk.ids[place] === id) return false;
    this.#own(chunk).splice(place, 0, id);
    this.#held += 1;
    return true;
  }

  remove(id: string): boolean {
    const chunk = this.#of(id);
    const place = chunk === undefined ? -1 : above(chunk.ids, id);
    if (chunk === undefined || chunk.ids[place] !== id) return false;
    this.#own(chunk).splice(place, 1);
    this.#held -= 1;
    return true;
  }

  /** Ids below `floor` belong to a page of their own from here on, which `cursor` reads. */
  begin(floor: string, cursor: string): void {
    const last = this.#chunks.at(-1);
    if (last === undefined || last.cursor === cursor) return;
    last.floor = floor;
    this.#chunks.push({ ids: [], away: 0, floor: "", cursor, shared: false });
    this.#snapshot = null;
  }

  /** The chunks that have rows in this range, as they are numbered. */
  chunks(first: number, last: number): readonly { readonly at: number; readonly away: boolean }[] {
    const found: { at: number; away: boolean }[] = [];
    let start = 0;
    for (const [at, { ids, away }] of this.#chunks.entries()) {
      const end = start + ids.length + away;
      if (end > first && start <= last) found.push({ at, away: away > 0 });
      if (start > last) break;
      start = end;
    }
    return found;
  }

  /** What reads a chunk that is away: from `cursor`, between its floors. */
  missing(at: number): { readonly cursor: string; readonly floor: string; readonly ceiling: string } | null {
    const chunk = this.#chunks[at];
    if (chunk === undefined || chunk.away === 0 || chunk.cursor === undefined) return null;
    return { cursor: chunk.cursor, floor: chunk.floor, ceiling: this.#chunks[at - 1]?.floor ?? "" };
  }

  /** A chunk is here again: what is in it follows by `add`. */
  back(at: number): void {
    const chunk = this.#chunks[at];
    if (chunk === undefined) return;
    this.#away -= chunk.away;
    chunk.away = 0;
    this.#snapshot = null;
  }

  /** Gives chunks away, the farthest from `near` first, until at most `size` ids are here. The ids of those. */
  give(size: number, near: readonly number[]): readonly string[] {
    const [low = 0, high = 0] = [near[0], near.at(-1)];
    const far = (at: number): number => (at < low ? low - at : at - high);
    const order = [...this.#chunks.keys()].filter((at) => far(at) > 1).sort((a, b) => far(b) - far(a));
    const gone: string[] = [];
    for (const at of order) {
      if (this.#held <= size) break;
      const chunk = this.#chunks[at];
      if (chunk === undefined || chunk.cursor === undefined || chunk.ids.length === 0) continue;
      gone.push(...chunk.ids);
      this.#held -= chunk.ids.length;
      this.#away += chunk.ids.length;
      chunk.away = chunk.ids.length;
      chunk.ids = [];
      chunk.shared = false;
    }
    if (gone.length > 0) this.#snapshot = null;
    return gone;
  }

  /** Only the newest stay: all pages go, and the head beyond `size`. The ids of those that went. */
  cut(size: number): readonly string[] {
    const [head, ...pages] = this.#chunks.splice(0);
    if (head === undefined) return [];
    const gone = [...this.#own(head).splice(size), ...pages.flatMap(({ ids }) => ids)];
    head.floor = "";
    this.#chunks.push(head);
    this.#held = head.ids.length;
    this.#away = 0;
    return gone;
  }

  /** Without the first `from`. The same as before, if nothing changed. */
  ids(from = 0): Ids {
    if (this.#snapshot?.from === from) return this.#snapshot.ids;
    for (const chunk of this.#chunks) chunk.shared = true;
    const ids = new Ids(
      this.#chunks.map((chunk) => (chunk.away > 0 ? chunk.away : chunk.ids)),
      from,
    );
    this.#snapshot = { from, ids };
    return ids;
  }

  #of(id: string): Chunk | undefined {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#chunks[middle]?.floor ?? "") > id) low = middle + 1;
      else high = middle;
    }
    return this.#chunks[low];
  }

  #own(chunk: Chunk): string[] {
    this.#snapshot = null;
    if (chunk.shared) chunk.ids = [...chunk.ids];
    chunk.shared = false;
    return chunk.ids;
  }
}

// What the strip keeps beyond the page: ids that it showed, with the place in the log at which it did, and what was
// dismissed. It is read with suspicion: another version or another hand may have written it. Pure.

/** Under this name in the storage that all tabs share. */
export const KEPT_NAME = "daybook:strip";
/** More than one strip shows, as some ended while nobody looked. */
export const KEPT_IDS_MAX = 60;
export const DISMISSED_MAX = 200;

export interface Kept {
  readonly epoch: string;
  readonly seq: number;
  readonly ids: readonly string[];
  /** By id, the seq up to which it was dismissed: a job that was retried may end, and be shown, again. */
  readonly dismissed: ReadonlyMap<string, number>;
}

export function readKept(text: string | null): Kept | null {
  if (text === null) return null;
  try {
    const { epoch, seq, ids, dismissed } = JSON.parse(text) as Record<string, unknown>;
    if (typeof epoch !== "string" || !Number.isSafeInteger(seq) || (seq as number) < 0) return null;
    if (!Array.isArray(ids) || !Array.isArray(dismissed)) return null;
    const pairs = (dismissed as readonly unknown[]).filter((one): one is [string, number] => Array.isArray(one) && typeof one[0] === "string" && typeof one[1] === "number");
    const texts = (ids as readonly unknown[]).filter((id): id is string => typeof id === "string");
    return { epoch, seq: seq as number, ids: texts.slice(-KEPT_IDS_MAX), dismissed: new Map(pairs.slice(-DISMISSED_MAX)) };
  } catch {
    return null;
  }
}

export function writeKept({ epoch, seq, ids, dismissed }: Kept): string {
  return JSON.stringify({ epoch, seq, ids: ids.slice(-KEPT_IDS_MAX), dismissed: [...dismissed].slice(-DISMISSED_MAX) });
}

/** Takes into `mine` what the others dismissed. Whether that was news. */
export function mergeDismissed(mine: Map<string, number>, others: ReadonlyMap<string, number>): boolean {
  let news = false;
  for (const [id, seq] of others) {
    if ((mine.get(id) ?? -1) >= seq) continue;
    mine.set(id, seq);
    news = true;
  }
  return news;
}

export function bound<T>(all: Map<string, T> | Set<string>, size: number): void {
  for (const id of all.keys()) {
    if (all.size <= size) return;
    all.delete(id);
  }
}

// One clock for all relative times on the page: it runs while somebody looks, and stands still with none.

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | null = null;
/** How far the server's clock is ahead of this machine's. */
let ahead = 0;

/** Answers are stamped in whole seconds and take a while: less apart than this is the same. */
const SAME_MS = 3_000;

function tick(): void {
  now = Date.now();
  for (const hear of [...listeners]) hear();
}

export const ticker = {
  get: (): number => now,
  /** What time it is where events get theirs: the clock of this machine may be hours off. */
  server: (): number => now + ahead,
  /** The `Date` of an answer. */
  hearServer(date: string | null): void {
    const at = date === null ? Number.NaN : Date.parse(date);
    if (Number.isNaN(at)) return;
    const apart = at - Date.now();
    ahead = Math.abs(apart) < SAME_MS ? 0 : apart;
  },
  listen(hear: () => void): () => void {
    listeners.add(hear);
    if (timer === null) {
      now = Date.now();
      timer = setInterval(tick, 1000);
    }
    return () => {
      listeners.delete(hear);
      if (listeners.size > 0 || timer === null) return;
      clearInterval(timer);
      timer = null;
    };
  },
};

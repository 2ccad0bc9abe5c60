// One clock for all relative times on the page: it runs while somebody looks, and stands still with none.

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | null = null;

function tick(): void {
  now = Date.now();
  for (const hear of [...listeners]) hear();
}

export const ticker = {
  get: (): number => now,
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

// What happens on the page while it is measured: the list is read to its end, then looked at still and scrolled. Called
// from budgets/frames.budget.ts by `window.bench`.

import { lookAt, pace } from "./stand-in.ts";
import { ROWS } from "./words.ts";

const SCROLL_PX = 90;
const WARM_MS = 500;
const FRAME_MS = 33;

export interface Frames {
  readonly frames: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly most: number;
  /** Of all frames, those that took longer than 33 ms: at 60 a second one that was left out. */
  readonly over33: number;
  /** The longest task of the main thread; 0: none took 50 ms. */
  readonly longestTask: number;
}

const frame = (): Promise<number> => new Promise((done) => requestAnimationFrame(done));
const scroller = (): HTMLElement | null => document.querySelector<HTMLElement>("[role=grid]")?.parentElement ?? null;
const held = (): number => Math.round((document.querySelector<HTMLElement>("[role=rowgroup]")?.offsetHeight ?? 0) / 36);

/** The number of a row that is in view. */
function seen(): void {
  const top = scroller()?.getBoundingClientRect().top ?? 0;
  const row = [...document.querySelectorAll<HTMLElement>("[role=row][data-job-id]")].find((node) => node.getBoundingClientRect().top > top);
  if (row !== undefined) lookAt(Number(row.dataset.jobId?.slice(-12)));
}

/** Until all rows are in memory. */
async function load(): Promise<number> {
  while (held() < ROWS) {
    scroller()?.scrollTo({ top: held() * 36 });
    await frame();
  }
  scroller()?.scrollTo({ top: 0 });
  await frame();
  return held();
}

async function measure(ms: number, each: () => void): Promise<Frames> {
  const gaps: number[] = [];
  let longestTask = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longestTask = Math.max(longestTask, duration);
  });
  observer.observe({ entryTypes: ["longtask"] });
  const first = await frame();
  let before = first;
  while (before < first + ms) {
    each();
    const now = await frame();
    gaps.push(now - before);
    before = now;
  }
  observer.disconnect();
  const sorted = gaps.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
  const over33 = gaps.filter((gap) => gap > FRAME_MS).length / gaps.length;
  return { frames: gaps.length, seconds: (before - first) / 1000, p50: at(0.5), p95: at(0.95), p99: at(0.99), most: sorted.at(-1) ?? 0, over33, longestTask };
}

/** `from`: a row to begin at. `step`: so many pixels a frame, there and back. */
async function phase(ms: number, from: number, step = SCROLL_PX): Promise<Frames> {
  const node = scroller();
  if (node === null) throw new Error("the list is drawn");
  node.scrollTo({ top: from * 36 });
  const looking = setInterval(seen, 100);
  let down = true;
  const move = (): void => {
    if (node.scrollTop + node.clientHeight >= node.scrollHeight - 200) down = false;
    node.scrollTop += down ? step : -step;
  };
  await measure(WARM_MS, step === 0 ? () => {} : move);
  const found = await measure(ms, step === 0 ? () => {} : move);
  clearInterval(looking);
  return found;
}

export const bench = { load, phase, pace, held };

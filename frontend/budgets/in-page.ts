// What runs in the page while it is measured at a real server: frames, and how long until the list shows what was asked
// for. Everything in here is a function that is sent to the page as text, and uses nothing from outside itself.

export interface PageFrames {
  readonly frames: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly most: number;
  readonly over33: number;
}

/** Scrolls so many pixels a frame, there and back, and measures the frames. */
export async function scrollFrames([ms, step]: readonly [number, number]): Promise<PageFrames> {
  const node = document.querySelector("[role=grid]")?.parentElement;
  if (node === null || node === undefined) throw new Error("the list is drawn");
  const frame = (): Promise<number> => new Promise((done) => requestAnimationFrame(done));
  const gaps: number[] = [];
  const first = await frame();
  let before = first;
  let down = true;
  while (before < first + ms) {
    if (node.scrollTop + node.clientHeight >= node.scrollHeight - 200) down = false;
    if (node.scrollTop <= 0) down = true;
    node.scrollTop += down ? step : -step;
    const now = await frame();
    gaps.push(now - before);
    before = now;
  }
  const sorted = gaps.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor(sorted.length * part)] ?? 0;
  return { frames: gaps.length, seconds: (before - first) / 1000, p50: at(0.5), p95: at(0.95), p99: at(0.99), most: sorted.at(-1) ?? 0, over33: gaps.filter((gap) => gap > 33).length / gaps.length };
}

/** Goes to a part of the list's height, and waits until every row in view is there. Milliseconds. */
export async function jumpTo(part: number): Promise<number> {
  const node = document.querySelector("[role=grid]")?.parentElement;
  if (node === null || node === undefined) throw new Error("the list is drawn");
  const frame = (): Promise<number> => new Promise((done) => requestAnimationFrame(done));
  const began = performance.now();
  node.scrollTop = node.scrollHeight * part;
  for (;;) {
    await frame();
    await frame();
    const { top, bottom } = node.getBoundingClientRect();
    const seen = [...node.querySelectorAll("[role=rowgroup] > [role=row]")].filter((row) => row.getBoundingClientRect().bottom > top && row.getBoundingClientRect().top < bottom);
    if (seen.length > 5 && seen.every((row) => row.hasAttribute("data-job-id"))) return performance.now() - began;
    if (performance.now() > began + 20_000) return Number.POSITIVE_INFINITY;
  }
}

/** Presses the button of a state, and waits until the list has only such rows. When the page first painted after it, and
 *  when the rows were there. */
export async function chooseState(state: string): Promise<{ readonly paint: number; readonly rows: number }> {
  const frame = (): Promise<number> => new Promise((done) => requestAnimationFrame(done));
  const button = [...document.querySelectorAll<HTMLElement>('[role=group][aria-label="State"] button')].find((one) => one.textContent?.startsWith(state));
  if (button === undefined) throw new Error(`there is a button for ${state}`);
  const began = performance.now();
  button.click();
  await frame();
  await new Promise((done) => setTimeout(done));
  const paint = performance.now() - began;
  for (;;) {
    const rows = [...document.querySelectorAll<HTMLElement>("[role=row][data-job-id]")];
    const right = rows.length > 5 && rows.every((row) => state === "all" || row.dataset.state === state);
    if (right && document.querySelector('[aria-busy="true"]') === null) return { paint, rows: performance.now() - began };
    if (performance.now() > began + 20_000) return { paint, rows: Number.POSITIVE_INFINITY };
    await frame();
  }
}

/** So many rows the list has, loaded or given away again. */
export const rowsOfList = (): number => Math.round((document.querySelector<HTMLElement>("[role=rowgroup]")?.offsetHeight ?? 0) / 36);

/** Scrolls to the end until the list has so many rows. Seconds. */
export async function readOn(rows: number): Promise<number> {
  const node = document.querySelector("[role=grid]")?.parentElement;
  const body = document.querySelector<HTMLElement>("[role=rowgroup]");
  if (node === null || node === undefined || body === null) throw new Error("the list is drawn");
  const began = performance.now();
  while (body.offsetHeight / 36 < rows && performance.now() < began + 240_000) {
    node.scrollTop = node.scrollHeight;
    await new Promise((done) => requestAnimationFrame(done));
  }
  return (performance.now() - began) / 1000;
}

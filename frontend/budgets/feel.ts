// What one who scrolls, presses and filters feels, measured in the page itself.

import type { Page } from "playwright-core";
import { share } from "./report.ts";

export interface Frames {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly most: number;
  /** Part of all. */
  readonly over33: number;
  /** Of the main thread, in ms. */
  readonly longestTask: number;
  /** Part of the frames in which a row in view was not there yet. */
  readonly gaps: number;
}

/** Scrolls so many pixels a frame for a while. At an end it turns round. */
export async function scroll(page: Page, px: number, ms: number): Promise<Frames> {
  const found = await page.evaluate(
    async ([step, time]) => {
      const frame = (): Promise<number> => new Promise((done) => requestAnimationFrame(done));
      const node = document.querySelector<HTMLElement>("[role=grid]")?.parentElement;
      if (node === null || node === undefined) throw new Error("the list is there");
      let longest = 0;
      const observer = new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
      });
      observer.observe({ type: "longtask" });
      const gaps: number[] = [];
      let missing = 0;
      let way = step;
      const end = performance.now() + time;
      for (let before = await frame(); performance.now() < end; ) {
        const turned = way > 0 ? node.scrollTop + node.clientHeight >= node.scrollHeight - 1 : node.scrollTop <= 0;
        if (turned) way = -way;
        node.scrollTop += way;
        const now = await frame();
        gaps.push(now - before);
        before = now;
        const box = node.getBoundingClientRect();
        const middle = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2)?.closest("[role=row]");
        if (middle === null || middle === undefined || !middle.hasAttribute("data-job-id")) missing += 1;
      }
      observer.disconnect();
      return { gaps, missing, longest };
    },
    [px, ms] as const,
  );
  const { gaps, missing, longest } = found;
  return {
    count: gaps.length,
    p50: share(gaps, 0.5),
    p95: share(gaps, 0.95),
    most: Math.max(...gaps),
    over33: gaps.filter((gap) => gap > 33.4).length / gaps.length,
    longestTask: longest,
    gaps: missing / gaps.length,
  };
}

export interface Answer {
  /** Until the page drew a frame after it. */
  readonly frame: number;
  /** Until what was asked for was there. */
  readonly there: number;
}

/** Does something in the page, as a hand does, and waits for what comes of it. `there` is looked at in each frame. */
export function feel(page: Page, what: { readonly press: string; readonly there: string; readonly gone?: string }): Promise<Answer> {
  return page.evaluate(async ({ press, there, gone }) => {
    const frame = (): Promise<number> => new Promise((done) => requestAnimationFrame(done));
    const button = [...document.querySelectorAll<HTMLElement>("button, a")].find((node) => (node.getAttribute("aria-label") ?? node.textContent ?? "").trim().toLowerCase().startsWith(press));
    if (button === undefined) throw new Error(`no button ${press}`);
    await frame();
    const began = performance.now();
    button.click();
    await frame();
    await new Promise((done) => setTimeout(done));
    const drawn = performance.now() - began;
    for (;;) {
      const is = document.querySelector(there) !== null && (gone === undefined || document.querySelector(gone) === null);
      if (is) return { frame: drawn, there: performance.now() - began };
      if (performance.now() - began > 60_000) throw new Error(`${there} did not come after ${press}`);
      await frame();
    }
  }, what);
}

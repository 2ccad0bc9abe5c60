// Where a scrolled thing has come to rest, and which rows one sees there: by their names, as pixels say little.

import type { Locator, Page } from "playwright-core";

/** Scrolls, and waits until two frames show the same: what is asked for meanwhile is drawn then. */
export async function scrollTo(scroller: Locator, top: number): Promise<void> {
  await scroller.evaluate((node, to) => (node.scrollTop = to), top);
  await atRest(scroller);
}

export async function atRest(scroller: Locator): Promise<void> {
  await scroller.evaluate(async (node) => {
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const look = () => `${node.scrollTop} ${node.textContent}`;
    for (let before = ""; before !== look(); ) {
      before = look();
      await frame();
      await frame();
    }
  });
}

/** The values of an attribute of the rows whose middle is in view, from the top. */
export function inView(scroller: Locator, attribute: string): Promise<string[]> {
  return scroller.evaluate((node, name) => {
    const { top, bottom } = node.getBoundingClientRect();
    const rows = [...node.querySelectorAll(`[${name}]`)].flatMap((row) => {
      const box = row.getBoundingClientRect();
      const middle = (box.top + box.bottom) / 2;
      return middle > top && middle < bottom ? [{ middle, name: row.getAttribute(name) ?? "" }] : [];
    });
    return rows.sort((a, b) => a.middle - b.middle).map((row) => row.name);
  }, attribute);
}

/** What scrolls the rows of a list. */
export const scrollerOf = (page: Page, grid: string): Locator => page.getByRole("grid", { name: grid }).locator("xpath=..");

// Where the focus is, and whether one sees it there.

import type { Page } from "playwright-core";

/** Why the focus is not where a person can see it; null: it is. */
export function focusTrouble(page: Page): Promise<string | null> {
  return page.evaluate(() => {
    const node = document.activeElement;
    if (node === null || node === document.body) return "the focus is nowhere";
    const name = `${node.tagName} ${node.getAttribute("aria-label") ?? node.id ?? ""} ${(node.textContent ?? "").slice(0, 40)}`;
    if (node.id === "main") return null;
    const box = node.getBoundingClientRect();
    if (box.width < 1 || box.height < 1) return `${name} has no size`;
    if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth) return `${name} is out of view`;
    const style = getComputedStyle(node);
    const ring = style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 1;
    if (!ring && style.boxShadow === "none") return `${name} shows no ring`;
    const [x, y] = [Math.min(innerWidth - 1, Math.max(0, box.left + box.width / 2)), Math.min(innerHeight - 1, Math.max(0, box.top + box.height / 2))];
    const top = document.elementFromPoint(x, y);
    return top === null || node.contains(top) || top.contains(node) || node.closest("label")?.contains(top) === true ? null : `${name} is covered by ${top.outerHTML.slice(0, 120)}`;
  });
}

/** Tabs on until a part of the page has the focus; each stop on the way must be seen. */
export async function tabTo(page: Page, selector: string, stops = 60): Promise<void> {
  for (let n = 0; n < stops; n++) {
    await page.keyboard.press("Tab");
    const trouble = await focusTrouble(page);
    if (trouble !== null && !trouble.includes("nowhere")) throw new Error(`at Tab ${n + 1}: ${trouble}`);
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector)) return;
  }
  throw new Error(`Tab does not lead to ${selector}`);
}

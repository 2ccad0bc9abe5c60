// What every page must hold, whatever it shows: nothing that axe knows of, nothing that the policy forbids, nothing that
// scrolls sideways.

import type { Page } from "playwright-core";
import { expect } from "vitest";
import { violations } from "./stage.ts";

/** Before the first page: what the policy refuses is kept, also on pages that one leaves. */
export async function watchPolicy(page: Page): Promise<string[]> {
  const refused: string[] = [];
  await page.exposeFunction("tellRefused", (what: string) => void refused.push(what));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      const { tellRefused } = globalThis as unknown as { tellRefused: (what: string) => void };
      tellRefused(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  return refused;
}

/** What stands out of the window, with the widest first. */
export function sideways(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    if (document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth) return [];
    const wide = [...document.querySelectorAll("body *")].filter((node) => node.getBoundingClientRect().right > innerWidth + 1);
    return [`${document.documentElement.scrollWidth} px in ${innerWidth}`, ...wide.slice(0, 3).map((node) => node.outerHTML.slice(0, 160))];
  });
}

export async function noBarriers(page: Page, what: string): Promise<void> {
  expect(await violations(page), what).toEqual([]);
  expect(await sideways(page), what).toEqual([]);
}

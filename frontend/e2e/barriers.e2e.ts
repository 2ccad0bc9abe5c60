// Every page on a phone, full of long things, in both themes: no barrier that axe knows of (WCAG 2.1 AA), nothing
// sideways, nothing that the policy refuses. And what the policy is.

import { beforeAll, expect, test } from "vitest";
import { noBarriers, watchPolicy } from "./support/barriers.ts";
import { fill, FULL_CONFIG, openFull, PAGES, type Full } from "./support/full.ts";
import { picture, stage } from "./support/stage.ts";

const play = stage({ config: FULL_CONFIG });
let full: Full;
beforeAll(async () => {
  full = await fill(play.daybook);
});

test.each(["light", "dark"] as const)("every page on a phone (%s)", async (theme) => {
  const page = await play.tab({ size: "phone", theme });
  const refused = await watchPolicy(page);
  for (const path of PAGES) {
    await openFull(page, path, full);
    await noBarriers(page, path);
    await picture(page, `barriers-phone-${theme}-${path.replaceAll(/\W+/g, "-")}`);
  }
  expect(refused).toEqual([]);
});

test("the policy allows no inline script, and every page comes under it", async () => {
  const page = await play.tab();
  for (const path of [...PAGES, `/jobs/${full.job}`]) {
    const answer = await page.request.get(path, { headers: { accept: "text/html" } });
    const policy = answer.headers()["content-security-policy"] ?? "";
    expect(policy, path).toContain("script-src 'self'");
    expect(policy, path).not.toMatch(/unsafe-(inline|eval)/);
    expect(await answer.text(), path).not.toMatch(/<script(?![^>]*\bsrc=)|\son\w+=|style="/);
  }
});

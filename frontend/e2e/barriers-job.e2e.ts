// The page of a job on a phone, full of long things, in both themes: no barrier that axe knows of (WCAG 2.1 AA),
// nothing sideways, nothing that the policy refuses.

import { beforeAll, expect, test } from "vitest";
import { noBarriers, watchPolicy } from "./support/barriers.ts";
import { fill, FULL_CONFIG, openFull, TABS, type Full } from "./support/full.ts";
import { picture, stage } from "./support/stage.ts";

const play = stage({ config: FULL_CONFIG });
let full: Full;
beforeAll(async () => {
  full = await fill(play.daybook);
});

test.each(["light", "dark"] as const)("every tab of a job on a phone (%s)", async (theme) => {
  const page = await play.tab({ size: "phone", theme });
  const refused = await watchPolicy(page);
  for (const tab of TABS) {
    await openFull(page, `/jobs/${full.job}?tab=${tab}`, full);
    await noBarriers(page, tab);
    await picture(page, `barriers-phone-${theme}-job-${tab}`);
  }
  expect(refused).toEqual([]);
});

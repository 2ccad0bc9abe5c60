// Addresses that are typed by hand, cut off, or from another time: what cannot be understood is passed over.

import { expect, test } from "vitest";
import { seeState, stage } from "./support/stage.ts";
import { submit } from "./support/worker.ts";

const play = stage();

test.each(["at=abc", "at=-1", "at=0", "at=1.5", "at=1e99", "at=&to=3", "state=bogus", "state=&q=", "nothing=here", "tab=none"])("/jobs?%s shows the jobs of now", async (search) => {
  const job = await submit(play.daybook, { kind: "plain" });
  const page = await play.tab();
  await page.goto(`/jobs?${search}`);
  await seeState(page, job.id, "queued");
  expect(await page.getByRole("region", { name: "Time travel" }).count()).toBe(0);
  await page.goto(`/jobs/${job.id}?${search}`);
  await page.getByRole("heading", { name: /plain/ }).first().waitFor();
});

test("a span and a view that there are not are the usual ones", async () => {
  const page = await play.tab();
  await page.goto("/history?span=9y&view=cake");
  await page.locator("canvas").first().waitFor();
  expect(await page.getByRole("alert").filter({ hasText: /\w/ }).count()).toBe(0);
});

test("a second moment that is none compares nothing", async () => {
  await submit(play.daybook, { kind: "plain" });
  const page = await play.tab();
  await page.goto("/jobs?at=2&to=abc");
  await page.locator('[data-event-seq="2"]').waitFor();
  expect(await page.getByRole("dialog").count()).toBe(0);
});

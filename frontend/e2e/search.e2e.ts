// A text that few of very many jobs have: the server looks at 10,000 a page, so most pages have nothing.

import type { Page, Route } from "playwright-core";
import { expect, test } from "vitest";
import type { JobBody, JobList } from "../src/api/types.gen.ts";
import { row, stage } from "./support/stage.ts";
import { submit } from "./support/worker.ts";

const play = stage();
const EMPTY_PAGES = 17;

/** Between the newest match and the oldest the server finds nothing, page after page. */
async function sparse(page: Page, jobs: readonly JobBody[]): Promise<() => number> {
  let asked = 0;
  await page.route(/\/api\/jobs\?.*q=/, async (route: Route) => {
    asked += 1;
    const cursor = Number((new URL(route.request().url()).searchParams.get("cursor") ?? "0").replace("page-", ""));
    const answer = await route.fetch({ url: `${play.front.url}/api/jobs?q=needle&limit=10` });
    const list = (await answer.json()) as JobList;
    const shown = cursor === 0 ? jobs.slice(0, 1) : cursor === EMPTY_PAGES ? jobs.slice(1) : [];
    const body = { ...list, jobs: list.jobs.filter(({ id }) => shown.some((one) => one.id === id)), next_cursor: cursor === EMPTY_PAGES ? null : `page-${cursor + 1}` };
    await route.fulfill({ response: answer, body: JSON.stringify(body) });
  });
  return () => asked;
}

test("it goes on looking as long as the end of what was found is in view", async () => {
  const oldest = await submit(play.daybook, { kind: "needle" });
  const newest = await submit(play.daybook, { kind: "needle" });
  const page = await play.tab();
  const asked = await sparse(page, [newest, oldest]);
  await page.goto("/jobs?q=needle");
  await row(page, newest.id).waitFor();
  await row(page, oldest.id).waitFor();
  await page.getByText("These are all.").waitFor();
  expect(asked()).toBe(EMPTY_PAGES + 1);
});

test("an error on the way is said, and not asked against; a button goes on", async () => {
  const oldest = await submit(play.daybook, { kind: "needle" });
  const newest = await submit(play.daybook, { kind: "needle" });
  const page = await play.tab();
  const asked = await sparse(page, [newest, oldest]);
  let broken = 0;
  await page.route(/cursor=page-9/, async (route) => {
    broken += 1;
    if (broken > 1) return route.fallback();
    await route.fulfill({ status: 503, contentType: "application/problem+json", body: JSON.stringify({ code: "overloaded", title: "Overloaded", status: 503, detail: "too much to do", hint: "Try again soon." }) });
  });
  await page.goto("/jobs?q=needle");
  await page.getByText("too much to do").waitFor();
  expect(broken).toBe(1);
  const before = asked();
  await page.getByRole("button", { name: "Load more" }).click();
  await row(page, oldest.id).waitFor();
  expect(asked()).toBeGreaterThan(before);
});

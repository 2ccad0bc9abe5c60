// The line between page and server: cut again and again while much happens, with nothing lost and nothing doubled; and
// two tabs, which show the same. What a restart does is in restart.e2e.ts, what a reset does in reset.e2e.ts.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { JobBody, JobList } from "../src/api/types.gen.ts";
import { pill, seeState, stage } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";

const play = stage();
const connection = (page: Page, word: string) => page.locator(`[data-connection="${word}"]`).waitFor();

/** Every word that the pill shows from now on, each once until it changes. */
async function words(page: Page): Promise<() => Promise<string[]>> {
  await pill(page).waitFor();
  await page.evaluate(() => {
    const seen: string[] = [];
    const look = (): void => {
      const word = document.querySelector<HTMLElement>("[data-connection]")?.dataset.connection ?? "";
      if (seen.at(-1) !== word) seen.push(word);
    };
    look();
    new MutationObserver(look).observe(document.body, { subtree: true, attributes: true, childList: true, attributeFilter: ["data-connection"] });
    Object.assign(window, { pillWords: seen });
  });
  return () => page.evaluate(() => (window as unknown as { pillWords: string[] }).pillWords);
}

async function bulk(kind: string, count: number, queue = "default"): Promise<string[]> {
  const jobs = Array.from({ length: count }, (_, n) => ({ kind, args: { n }, queue }));
  return (await call<{ jobs: JobBody[] }>(play.daybook, "POST", "/api/jobs/bulk", { jobs })).jobs.map(({ id }) => id);
}

/** All rows from the first to the last, as one who scrolls sees them: id and state. */
async function scrolled(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const frame = (): Promise<unknown> => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const node = document.querySelector<HTMLElement>("[role=grid]")?.parentElement;
    if (node === null || node === undefined) throw new Error("the list is there");
    const seen = new Map<number, string>();
    for (node.scrollTop = 0; ; node.scrollTop += node.clientHeight / 2) {
      await frame();
      for (const row of node.querySelectorAll<HTMLElement>("[role=row][data-job-id]")) seen.set(Number(row.getAttribute("aria-rowindex")), `${row.dataset.jobId} ${row.dataset.state}`);
      if (node.scrollTop + node.clientHeight >= node.scrollHeight - 1) break;
    }
    return [...seen].sort(([a], [b]) => a - b).map(([, row]) => row);
  });
}

const listed = async (kind: string): Promise<string[]> => (await call<JobList>(play.daybook, "GET", `/api/jobs?kind=${kind}&limit=500`)).jobs.map(({ id, state }) => `${id} ${state}`);

test("the line is cut twelve times while jobs come, run and end: the list ends as the server's, each job once", async () => {
  const page = await play.tab();
  await bulk("storm", 20);
  await page.goto("/jobs?kind=storm");
  await connection(page, "live");
  const seen = await words(page);
  const worker = await Worker.join(play.daybook, "hand", 50, ["storm"]);
  for (let cut = 0; cut < 12; cut++) {
    play.front.cut();
    await bulk("storm", 15);
    for (let n = 0; n < 10; n++) {
      const lease = await worker.take();
      await (n % 3 === 0 ? lease.fail("no ink") : lease.complete({ n }));
    }
    play.front.mend();
    // In the middle of catching up as well: every second cut waits for nothing but a socket.
    if (cut % 2 === 0) await page.getByRole("button", { name: /^Retry/ }).click({ timeout: 300 }).catch(() => {});
    if (cut % 4 === 0) await connection(page, "live");
  }
  await connection(page, "live");
  const truth = await listed("storm");
  expect(truth.length).toBe(200);
  await expect.poll(() => scrolled(page)).toEqual(truth);
  const went = await seen();
  expect(went).toContain("offline");
  expect(went.at(-1)).toBe("live");
  expect(went).not.toContain("restarted");
});

test("the pill goes from live to offline, over catching up to live again, and says it aloud", async () => {
  const page = await play.tab();
  await page.goto("/jobs");
  await connection(page, "live");
  const seen = await words(page);
  play.front.cut();
  await connection(page, "offline");
  const [id = ""] = await bulk("missed", 3);
  play.front.mend();
  await connection(page, "live");
  await seeState(page, id, "queued");
  expect((await seen()).join(" ")).toMatch(/^live (catching-up )?offline (catching-up |offline )*live$/);
  await page.getByRole("status").filter({ hasText: "Connection: Live" }).waitFor({ state: "attached" });
});

test("a log that is followed over cuts has each line once, in order", async () => {
  const worker = await Worker.join(play.daybook, "writer", 1, ["lines"]);
  const { id } = await submit(play.daybook, { kind: "lines" });
  const lease = await worker.take();
  const page = await play.tab();
  await page.goto(`/jobs/${id}?tab=log`);
  await lease.log("line 0");
  await page.locator("[data-line='1']").waitFor();
  for (let n = 1; n <= 12; n++) {
    if (n % 4 === 0) play.front.cut();
    await lease.log(`line ${n}`);
    if (n % 4 === 2) play.front.mend();
  }
  play.front.mend();
  await page.locator("[data-line='13']").waitFor();
  const lines = await page.locator("[data-line]").evaluateAll((nodes) => nodes.map((node) => Number((node as HTMLElement).dataset.line)));
  expect(lines).toEqual(Array.from({ length: 13 }, (_, n) => n + 1));
});

test("two tabs show the same strip while jobs come and go, and what one dismisses goes from the other", async () => {
  const page = await play.tab();
  const other = await page.context().newPage();
  const chips = (tab: Page) => tab.locator("[data-active-job-id]").evaluateAll((nodes) => nodes.map((node) => `${(node as HTMLElement).dataset.activeJobId} ${(node as HTMLElement).dataset.state}`));
  await page.goto("/queues");
  await other.goto("/jobs?kind=pair");
  const ids = await bulk("pair", 6);
  const worker = await Worker.join(play.daybook, "pair", 6, ["pair"]);
  const leases = [await worker.take(), await worker.take(), await worker.take()];
  for (const tab of [page, other]) for (const { id } of leases) await tab.locator(`[data-active-job-id="${id}"][data-state="running"]`).waitFor();
  await expect.poll(async () => JSON.stringify(await chips(page)) === JSON.stringify(await chips(other))).toBe(true);
  // All tabs are away when two of them end.
  await page.goto("about:blank");
  await other.goto("about:blank");
  await leases[0]?.complete({ answer: 42 });
  await leases[1]?.fail("the disk is full");
  await page.goto("/workers");
  await other.goto("/history");
  for (const tab of [page, other]) {
    await tab.locator(`[data-ended-job-id="${leases[0]?.id}"]`).getByText('{"answer":42}').waitFor();
    await tab.locator(`[data-ended-job-id="${leases[1]?.id}"]`).getByText("the disk is full").waitFor();
    await tab.locator(`[data-active-job-id="${leases[2]?.id}"][data-state="running"]`).waitFor();
  }
  await other.locator(`[data-ended-job-id="${leases[0]?.id}"]`).getByRole("button", { name: /^Dismiss/ }).click();
  await page.locator(`[data-ended-job-id="${leases[0]?.id}"]`).waitFor({ state: "detached" });
  expect(await page.locator(`[data-ended-job-id="${leases[1]?.id}"]`).count()).toBe(1);
  expect(ids).toContain(leases[0]?.id);
});

test("a refresh in the middle of a batch: strip and job page are there again with all that was reported, and go on", async () => {
  const items = Array.from({ length: 8 }, (_, n) => ({ key: `part-${n}` }));
  const worker = await Worker.join(play.daybook, "batch", 1, ["batch"]);
  const { id } = await submit(play.daybook, { kind: "batch", items });
  const lease = await worker.take();
  const page = await play.tab();
  await page.goto(`/jobs/${id}?tab=items`);
  await page.locator("[data-item='part-0']").waitFor();
  for (let n = 0; n < 4; n++) {
    await lease.items({ key: `part-${n}`, state: "completed", result: { n } });
    await lease.tell({ percent: (n + 1) * 10, message: `part ${n} is done`, done: n + 1, total: 8 });
    await page.reload();
    await page.locator(`[data-item='part-${n}'][data-state='completed']`).waitFor();
    await page.locator(`[data-active-job-id="${id}"]`).getByText(`${(n + 1) * 10} %`).waitFor();
    await page.locator("main").getByText(`${n + 1} of 8`).first().waitFor();
  }
  for (let n = 4; n < 8; n++) await lease.items({ key: `part-${n}`, state: "completed", result: { n } });
  await lease.complete({ all: 8 });
  await page.locator(`main [data-job-id="${id}"][data-state="completed"]`).waitFor();
  await page.locator("[data-item='part-7'][data-state='completed']").waitFor();
});

test("the theme that one tab chooses is the other's at once, and there after a refresh", async () => {
  const page = await play.tab({ theme: "light" });
  const other = await page.context().newPage();
  await page.goto("/jobs");
  await other.goto("/queues");
  const background = (tab: Page) => tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background(other);
  await page.getByRole("button", { name: "Theme" }).click();
  await page.getByRole("menuitemradio", { name: "Dark" }).click();
  await expect.poll(() => background(other)).not.toBe(light);
  expect(await background(other)).toBe(await background(page));
  await other.reload();
  expect(await background(other)).not.toBe(light);
  await other.getByRole("button", { name: "Theme" }).click();
  await other.getByRole("menuitemradio", { name: "As the system" }).click();
  await expect.poll(() => background(page)).toBe(light);
});

// A first visit with 100,000 jobs on the server, and a second: when something is painted, when rows are there, and how
// much came over the wire.

import type { Page } from "playwright-core";
import { beforeAll, test } from "vitest";
import { stage } from "../e2e/support/stage.ts";
import { atMost, median, say, spread, verdict } from "./report.ts";
import { addressOf, fill, hasDashboard } from "./server.ts";

const JOBS = 100_000;
const VISITS = 5;
const play = stage();

beforeAll(async () => {
  const took = await fill(play.daybook, JOBS);
  say("jobs on the server", `${JOBS.toLocaleString("en")}, submitted in ${(took / 1000).toFixed(1)} s`);
});

/** Runs in the page: the moment after the frame that had the first row. */
function watchRows(): void {
  const seen = globalThis as unknown as { rowsAt?: number };
  const observer = new MutationObserver(() => {
    if (document.querySelector("[role=row][data-job-id]") === null) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => (seen.rowsAt = performance.now())));
  });
  observer.observe(document, { childList: true, subtree: true });
}

interface Visit {
  readonly paint: number;
  readonly rows: number;
  /** The page's own files. */
  readonly files: number;
  /** What it asked the server for; the list itself comes by the socket. */
  readonly data: number;
  readonly requests: readonly string[];
}

async function visit(page: Page, address: string): Promise<Visit> {
  await page.addInitScript(watchRows);
  await page.goto(`${address}/jobs`);
  await page.locator('[data-connection="live"]').waitFor();
  await page.waitForFunction(() => "rowsAt" in globalThis);
  // The last requests of the page as well.
  await page.waitForLoadState("networkidle");
  return page.evaluate(() => {
    const sum = (some: readonly PerformanceResourceTiming[]): number => some.reduce((total, { transferSize }) => total + transferSize, 0);
    const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")] as PerformanceResourceTiming[];
    return {
      paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Number.NaN,
      rows: (globalThis as unknown as { rowsAt: number }).rowsAt,
      files: sum(entries.filter(({ name }) => !new URL(name).pathname.startsWith("/api/"))),
      data: sum(entries.filter(({ name }) => new URL(name).pathname.startsWith("/api/"))),
      requests: entries.map(({ name, transferSize }) => `${new URL(name).pathname} ${transferSize}`),
    };
  });
}

test("the first rows, the first paint, and what is transferred", async () => {
  const address = await addressOf(play);
  const first: Visit[] = [];
  const second: Visit[] = [];
  for (let n = 0; n < VISITS; n++) {
    const page = await play.tab();
    first.push(await visit(page, address));
    const again = await page.context().newPage();
    await page.close();
    second.push(await visit(again, address));
    await play.clearTabs();
  }
  const of = (visits: readonly Visit[], field: "paint" | "rows" | "files" | "data"): number[] => visits.map((one) => one[field]);
  say("counted", "from the start of the navigation; a browser without cache; the median of five");
  atMost("first visit: something is painted", median(of(first, "paint")), 500, "ms", spread(of(first, "paint")));
  atMost("first visit: rows are there", median(of(first, "rows")), 800, "ms", spread(of(first, "rows")));
  say("second visit: rows are there", spread(of(second, "rows")));
  if (await hasDashboard(play)) {
    atMost("first visit: files transferred", median(of(first, "files")) / 1000, 130, "kB", `and ${median(of(first, "data"))} bytes of data`);
    atMost("second visit: files transferred", median(of(second, "files")) / 1000, 3, "kB", `and ${median(of(second, "data"))} bytes of data`);
  } else say("transferred", "not measured: this server has no dashboard in it, and dist/ is sent as it is");
  for (const [name, [visited]] of Object.entries({ first, second })) say(`requests of a ${name} visit, bytes`, visited?.requests.join(", ") ?? "");
  verdict();
});

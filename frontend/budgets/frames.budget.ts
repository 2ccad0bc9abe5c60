// Frames of the product's own page with 100,000 rows in memory (../bench): still and scrolled, at the top and far down,
// with 200 changes a second in commits of one, and 2,000 a second in commits of ten. Each change is told to the list and
// to both subscriptions of the strip, as a server does. Beside the frames it says what the main thread did in one; what is
// not in it (raster and putting the picture together) is done by other threads, on the same processors.

import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type CDPSession, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { bench, Frames } from "../bench/drive.ts";
import { ROWS } from "../bench/words.ts";
import { browserPath, SIZES } from "../e2e/support/stage.ts";
import { atLeast, atMost, say, verdict } from "./report.ts";

const DIST = fileURLToPath(new URL("../bench/dist", import.meta.url));
const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const PHASE_MS = 8_000;
const P95_MS = 25;
const OVER_33 = 1;
const TASK_MS = 100;
const BURST_FPS = 50;
const SPENT = ["TaskDuration", "ScriptDuration", "RecalcStyleDuration", "LayoutDuration"] as const;

type Bench = typeof bench;
let server: Server;
let browser: Browser;
let page: Page;
let devtools: CDPSession;

beforeAll(async () => {
  server = createServer((asked, answer) => {
    const { pathname } = new URL(asked.url ?? "/", "http://bench");
    const path = extname(pathname) in TYPES ? pathname : "/index.html";
    answer.writeHead(200, { "content-type": TYPES[extname(path)] });
    answer.end(readFileSync(join(DIST, path)));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  browser = await chromium.launch({ executablePath: browserPath(), args: ["--no-sandbox"] });
  page = await browser.newPage({ viewport: SIZES.desk });
  page.on("pageerror", (error) => console.error(String(error)));
  devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable");
});

afterAll(async () => {
  await browser.close();
  server.close();
});

async function spent(): Promise<Record<string, number>> {
  const { metrics } = await devtools.send("Performance.getMetrics");
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

interface Measured extends Frames {
  /** What the main thread did in one frame. */
  readonly words: string;
}

async function phase(from: number, step?: number): Promise<Measured> {
  const before = await spent();
  const found = await page.evaluate(([ms, row, px]) => (globalThis as unknown as { bench: Bench }).bench.phase(ms, row, px ?? undefined), [PHASE_MS, from, step ?? null] as const);
  const after = await spent();
  const [task = 0, script = 0, style = 0, layout = 0] = SPENT.map((name) => (((after[name] ?? 0) - (before[name] ?? 0)) / found.frames) * 1000 * (found.seconds / (found.seconds + 0.5)));
  const rest = task - script - style - layout;
  return { ...found, words: `main thread ${task.toFixed(1)} ms a frame: script ${script.toFixed(1)}, style ${style.toFixed(1)}, layout ${layout.toFixed(1)}, rest ${rest.toFixed(1)}` };
}

const words = ({ frames, seconds, p50, p99, most }: Frames): string => `${frames} frames, ${(frames / seconds).toFixed(1)} a second, p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, most ${most.toFixed(1)}`;
const pace = (perSecond: number, commit: number): Promise<void> => page.evaluate(([a, b]) => (globalThis as unknown as { bench: Bench }).bench.pace(a, b), [perSecond, commit] as const);

function judge(name: string, found: Measured): void {
  atMost(`${name}: a frame, p95`, found.p95, P95_MS, "ms", words(found));
  atMost(`${name}: frames over 33 ms`, found.over33 * 100, OVER_33, "%", found.words);
  atMost(`${name}: the longest task`, found.longestTask, TASK_MS, "ms");
}

test("frames with 100,000 rows", async () => {
  const idle = await page.evaluate(async () => {
    const gaps: number[] = [];
    const frame = (): Promise<number> => new Promise((done) => requestAnimationFrame(done));
    for (let n = 0, before = await frame(); n < 180; n++) {
      const now = await frame();
      gaps.push(now - before);
      before = now;
    }
    return gaps.filter((gap) => gap > 33).length / gaps.length;
  });
  say("an empty page here: frames over 33 ms", `${(idle * 100).toFixed(1)} %${idle > 0.01 ? ": this machine is busy, and what follows says little" : ""}`);
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.locator("[role=row][data-job-id]").first().waitFor();
  const rows = await page.evaluate(() => (globalThis as unknown as { bench: Bench }).bench.load());
  expect(rows).toBeGreaterThanOrEqual(ROWS);
  const heap = await page.evaluate(() => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize);
  say("rows in memory", `${rows.toLocaleString("en")}, heap ${(heap / 1e6).toFixed(0)} MB`);
  const quiet = await phase(0);
  say("scrolled, without changes", `p95 ${quiet.p95.toFixed(1)} ms, over 33 ms ${(quiet.over33 * 100).toFixed(1)} %, ${words(quiet)}; ${quiet.words}`);
  await pace(200, 1);
  judge("200 changes/s, still", await phase(0, 0));
  judge("200 changes/s, scrolled", await phase(0));
  judge("200 changes/s, scrolled at row 60,000", await phase(60_000));
  await pace(2_000, 10);
  const burst = await phase(0);
  atLeast("2,000 changes/s, scrolled: frames a second", burst.frames / burst.seconds, BURST_FPS, "fps", `${words(burst)}; ${burst.words}`);
  const still = await phase(0, 0);
  atLeast("2,000 changes/s, still: frames a second", still.frames / still.seconds, BURST_FPS, "fps", `${words(still)}; ${still.words}`);
  await pace(0, 1);
  verdict();
});

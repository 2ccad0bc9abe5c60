// Opens the bench's page in a browser, prints what it measured, and fails above the budget.
// DAYBOOK_CHROMIUM names the browser, or it is `chromium` on the path.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const P95_MS = 25;
const dist = fileURLToPath(new URL("dist", import.meta.url));
const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

const server = createServer((asked, answer) => {
  const { pathname } = new URL(asked.url ?? "/", "http://bench");
  const path = extname(pathname) in types ? pathname : "/index.html";
  answer.writeHead(200, { "content-type": types[extname(path)] });
  answer.end(readFileSync(join(dist, path)));
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const executablePath = process.env.DAYBOOK_CHROMIUM ?? execFileSync("which", ["chromium"], { encoding: "utf8" }).trim();
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.on("pageerror", (error) => console.error(String(error)));
  const idle = await page.evaluate(async () => {
    const gaps = [];
    for (let n = 0, before = await new Promise(requestAnimationFrame); n < 120; n++) {
      const now = await new Promise(requestAnimationFrame);
      gaps.push(now - before);
      before = now;
    }
    return gaps.sort((a, b) => a - b)[Math.floor(gaps.length * 0.95)];
  });
  console.log(`an empty page here: p95 ${idle.toFixed(1)} ms${idle > 20 ? ": this machine is busy with other things, and what follows says little" : ""}`);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const found = await page.evaluate(() => globalThis.bench());
  const usedJSHeapSize = await page.evaluate(() => performance.memory.usedJSHeapSize);
  console.log(`${found.rows} rows held, ${found.changes} changes in ${found.seconds.toFixed(1)} s, heap ${(usedJSHeapSize / 1e6).toFixed(0)} MB`);
  for (const name of ["still", "scrolling", "far"]) {
    const { frames, p50, p95, p99, most } = found[name];
    const over = p95 > P95_MS;
    console.log(`${over ? "OVER" : "    "} ${name.padEnd(9)} ${frames} frames, p50 ${p50.toFixed(1)}, p95 ${p95.toFixed(1)}, p99 ${p99.toFixed(1)}, most ${most.toFixed(1)} ms (p95 at most ${P95_MS})`);
    if (over) process.exitCode = 1;
  }
  if (found.rows < 100_000) throw new Error("the rows were not held");
} finally {
  await browser.close();
  server.close();
}

// Measures dist/ against the budgets, prints what it found, and fails when one is passed.
// Initial: what index.html names. Lazy: every other script.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const BUDGET_KB = { initial: 125, lazy: 30, css: 10 };

const gzipped = (path) => gzipSync(readFileSync(join(dist, path)), { level: 9 }).length / 1000;
const html = readFileSync(join(dist, "index.html"), "utf8");
const named = new Set([...html.matchAll(/(?:src|href)="\/([^"]+\.(?:js|css))"/g)].map((match) => match[1]));
const built = readdirSync(join(dist, "assets")).map((name) => `assets/${name}`);

const scripts = [...named].filter((path) => path.endsWith(".js"));
const sheets = built.filter((path) => path.endsWith(".css"));
const lazy = built.filter((path) => path.endsWith(".js") && !named.has(path));
const sum = (paths) => paths.reduce((total, path) => total + gzipped(path), 0);

const checks = [
  { what: "initial scripts", is: sum(scripts), budget: BUDGET_KB.initial },
  { what: "style sheets", is: sum(sheets), budget: BUDGET_KB.css },
  ...lazy.map((path) => ({ what: path, is: gzipped(path), budget: BUDGET_KB.lazy })),
];
for (const { what, is, budget } of checks.toSorted((a, b) => b.is - a.is)) {
  const over = is > budget;
  console.log(`${over ? "OVER" : "    "} ${is.toFixed(1).padStart(6)} kB gz of ${String(budget).padStart(3)}  ${what}`);
  if (over) process.exitCode = 1;
}

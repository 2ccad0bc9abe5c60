// The list of jobs with 100,000 rows in memory and 200 changes a second: still, and scrolled. What it measures is in
// `window.bench()`, which run.mjs calls.

import "../src/app/style.css";
import { createRootRoute, createRouter, RouterProvider } from "@tanstack/react-router";
import { useEffect, useMemo, useRef } from "react";
import { createRoot } from "react-dom/client";
import { WorldProvider, useReadable } from "../src/hooks/index.ts";
import { ChoosingContext } from "../src/pages/jobs/choose.tsx";
import { Selection } from "../src/pages/jobs/selection.ts";
import { JobTable } from "../src/pages/jobs/table.tsx";
import { World } from "../src/store/index.ts";
import type { GridHandle } from "../src/ui/grid.tsx";
import { Source } from "./source.ts";

const ROWS = 100_000;
const CHANGES_PER_S = 200;
const ADDED_PER_S = 10;
const TICK_MS = 50;
const PHASE_MS = 6_000;
const SCROLL_PX = 90;

const source = new Source(ROWS);
const world = new World(source.line, source.api);
const list = world.list({}, Infinity);
const selection = new Selection();

function Bench() {
  const view = useReadable(list.view);
  const grid = useRef<GridHandle>(null);
  const choosing = useMemo(() => ({ selection, list: () => list.view.get().ids }), []);
  useEffect(() => world.open(list), []);
  return (
    <ChoosingContext value={choosing}>
      <div className="flex h-dvh flex-col">{view.ids.length === 0 ? null : <JobTable view={view} list={list} selection={selection} handle={grid} />}</div>
    </ChoosingContext>
  );
}

const router = createRouter({ routeTree: createRootRoute({ component: Bench, notFoundComponent: Bench }) });
const root = document.getElementById("root");
if (root === null) throw new Error("index.html has an element with the id root");
createRoot(root).render(
  <WorldProvider world={world}>
    <RouterProvider router={router as never} />
  </WorldProvider>,
);

const frame = (): Promise<number> => new Promise((done) => requestAnimationFrame(done));
const scroller = (): HTMLElement => document.querySelector<HTMLElement>("[role=grid]")?.parentElement as HTMLElement;

async function phase(each: (node: HTMLElement) => void) {
  const node = scroller();
  const gaps: number[] = [];
  const end = performance.now() + PHASE_MS;
  for (let before = await frame(); performance.now() < end; ) {
    each(node);
    const now = await frame();
    gaps.push(now - before);
    before = now;
  }
  gaps.sort((a, b) => a - b);
  const at = (share: number): number => gaps[Math.floor(gaps.length * share)] ?? 0;
  return { frames: gaps.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), most: gaps.at(-1) ?? 0 };
}

async function bench() {
  source.snapshot();
  while (list.view.get().ids.length < ROWS) {
    await list.more();
    await frame();
  }
  let changes = 0;
  const started = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - started) / 1000) * CHANGES_PER_S) - changes;
    const added = Math.min(due, Math.round((due * ADDED_PER_S) / CHANGES_PER_S));
    changes += due;
    if (due > 0) source.change(source.numberAt(Math.floor(scroller().scrollTop / 36)), due - added, added);
  }, TICK_MS);
  const still = await phase(() => {});
  let down = true;
  const scrolling = await phase((node) => {
    if (node.scrollTop + node.clientHeight >= node.scrollHeight - 200) down = false;
    node.scrollTop += down ? SCROLL_PX : -SCROLL_PX;
  });
  // Far away as well: there the ids are in other chunks.
  scroller().scrollTop = 60_000 * 36;
  const far = await phase((node) => void (node.scrollTop += SCROLL_PX));
  clearInterval(timer);
  return { rows: world.rows.size, changes, seconds: (performance.now() - started) / 1000, still, scrolling, far };
}

Object.assign(window, { bench });

// How long the page's main thread computed, by the processor's own clock: that says the same on a busy machine as on a quiet
// one. What other threads do (raster, putting the picture together) is not in it.

import type { Page } from "playwright-core";

export interface Spent {
  /** Each task of the main thread, in ms of the processor. */
  readonly tasks: readonly number[];
  readonly total: number;
}

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly tdur?: number;
}

const CATEGORIES = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"];
const threadOf = ({ pid, tid }: TraceEvent): string => `${pid} ${tid}`;

/** The thread that ran most of the page's functions. */
function mainOf(events: readonly TraceEvent[]): string {
  const calls = new Map<string, number>();
  for (const event of events) if (event.name === "FunctionCall") calls.set(threadOf(event), (calls.get(threadOf(event)) ?? 0) + 1);
  return [...calls].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "";
}

export async function spent<T>(page: Page, run: () => Promise<T>): Promise<readonly [T, Spent]> {
  const browser = page.context().browser();
  if (browser === null) throw new Error("the page is of a browser of ours");
  const devtools = await browser.newBrowserCDPSession();
  const events: TraceEvent[] = [];
  devtools.on("Tracing.dataCollected", ({ value }) => events.push(...(value as unknown as TraceEvent[])));
  await devtools.send("Tracing.start", { traceConfig: { includedCategories: CATEGORIES }, transferMode: "ReportEvents" });
  const result = await run();
  const complete = new Promise((done) => devtools.once("Tracing.tracingComplete", done));
  await devtools.send("Tracing.end");
  await complete;
  await devtools.detach();
  const main = mainOf(events);
  const tasks = events.filter((event) => event.ph === "X" && event.name.startsWith("ThreadControllerImpl::RunTask") && threadOf(event) === main).map(({ tdur }) => (tdur ?? 0) / 1000);
  return [result, { tasks, total: tasks.reduce((sum, one) => sum + one, 0) }];
}

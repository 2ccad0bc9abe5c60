// What a chart shows, as data: its lines with their words and marks, and the numbers of a table. Pure; the drawing is in
// chart.tsx and plot.ts.

import type { HistoryBody, HistoryBucket, HistorySpan } from "../api/types.gen.ts";

export type Mark = "circle" | "square" | "triangle" | "diamond";

/** How a line differs from its neighbours: by colour, by dashes and by marks, so that any one of them is enough. */
export interface Look {
  /** A token of style.css. */
  readonly colour: "running" | "bad" | "stopped" | "warn" | "ink" | "later";
  readonly dash: readonly number[];
  readonly mark: Mark;
}

export interface Line {
  readonly label: string;
  readonly look: Look;
  /** Null: nothing is known there, and the line has a gap. */
  readonly values: readonly (number | null)[];
}

export type Unit = "count" | "seconds";

export interface ChartData {
  readonly title: string;
  readonly unit: Unit;
  /** Seconds since 1970, the beginnings of the buckets. */
  readonly times: readonly number[];
  readonly width_s: number;
  readonly span: HistorySpan;
  readonly lines: readonly Line[];
}

const SOLID: readonly number[] = [];
const DASHED = [7, 4] as const;
const DOTTED = [2, 3] as const;
const MIXED = [8, 3, 2, 3] as const;

const BLUE: Look = { colour: "running", dash: SOLID, mark: "circle" };
const RED: Look = { colour: "bad", dash: DASHED, mark: "triangle" };
const GREY: Look = { colour: "stopped", dash: DOTTED, mark: "square" };
const AMBER: Look = { colour: "warn", dash: DOTTED, mark: "square" };
const INK: Look = { colour: "ink", dash: MIXED, mark: "diamond" };

/** "5 s", "minute", "10 min", "day": what one point of a chart stands for. */
export const PER: Readonly<Record<HistorySpan, string>> = { "5m": "5 s", "1h": "minute", "24h": "10 min", "30d": "day" };

type Counts = { [K in keyof HistoryBucket]: HistoryBucket[K] extends number ? K : never }[keyof HistoryBucket];

export function chartsOf(body: HistoryBody): readonly ChartData[] {
  const { buckets, width_s, span } = body;
  const shared = { times: buckets.map(({ from }) => Date.parse(from) / 1000), width_s, span };
  const count = (label: string, look: Look, key: Counts): Line => ({ label, look, values: buckets.map((bucket) => bucket[key]) });
  const times = (key: "wait_s" | "run_s"): readonly Line[] => [
    { label: "p50", look: BLUE, values: buckets.map((bucket) => bucket[key]?.p50 ?? null) },
    { label: "p95", look: AMBER, values: buckets.map((bucket) => bucket[key]?.p95 ?? null) },
    { label: "p99", look: INK, values: buckets.map((bucket) => bucket[key]?.p99 ?? null) },
  ];
  return [
    {
      ...shared,
      title: `Jobs per ${PER[span]}`,
      unit: "count",
      lines: [count("Submitted", INK, "submitted"), count("Completed", BLUE, "completed"), count("Failed", RED, "failed"), count("Cancelled", GREY, "cancelled")],
    },
    { ...shared, title: "Waited in the queue", unit: "seconds", lines: times("wait_s") },
    {
      ...shared,
      title: `Failures per ${PER[span]}`,
      unit: "count",
      lines: [count("Attempts failed", AMBER, "attempts_failed"), count("Jobs failed", RED, "failed"), count("Runs lost", INK, "lost")],
    },
    { ...shared, title: "Ran", unit: "seconds", lines: times("run_s") },
  ];
}

/** Whether there is anything to draw. */
export function isEmpty({ lines }: ChartData): boolean {
  return lines.every(({ values }) => values.every((value) => value === null || value === 0));
}

/** Which points carry a mark: some of many, and each that has no neighbour, since no line goes to it. */
export function marksOf(values: readonly (number | null | undefined)[], many = 12): readonly number[] {
  const step = Math.max(1, Math.ceil(values.length / many));
  const there = (at: number): boolean => values[at] !== null && values[at] !== undefined;
  return values.flatMap((_, at) => (there(at) && (at % step === 0 || (!there(at - 1) && !there(at + 1))) ? [at] : []));
}

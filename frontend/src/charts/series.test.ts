import { expect, test } from "vitest";
import type { HistoryBody, HistoryBucket } from "../api/types.gen.ts";
import { chartsOf, isEmpty, marksOf } from "./series.ts";

const bucket = (fields: Partial<HistoryBucket>): HistoryBucket => ({
  from: "2026-11-22T06:00:00.000Z",
  submitted: 0,
  started: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  attempts_failed: 0,
  lost: 0,
  wait_s: null,
  run_s: null,
  ...fields,
});
const body = (buckets: readonly HistoryBucket[]): HistoryBody => ({ span: "1h", width_s: 60, buckets, complete: true, earliest: 1, seq: 9, epoch: "e" });

test("each chart has a point for each bucket, and a gap where nothing is known", () => {
  const charts = chartsOf(body([bucket({ completed: 3 }), bucket({ from: "2026-11-22T06:01:00.000Z", run_s: { p50: 1, p95: 2, p99: 3 } })]));
  expect(charts.map(({ title }) => title)).toEqual(["Jobs per minute", "Waited in the queue", "Failures per minute", "Ran"]);
  expect(charts[0]?.lines[1]).toMatchObject({ label: "Completed", values: [3, 0] });
  expect(charts[3]?.lines.map(({ values }) => values)).toEqual([[null, 1], [null, 2], [null, 3]]);
  expect((charts[0]?.times[1] ?? 0) - (charts[0]?.times[0] ?? 0)).toBe(60);
});

test("the lines of a chart differ in colour, in dashes and in marks", () => {
  for (const { title, lines } of chartsOf(body([bucket({})]))) {
    const looks = lines.map(({ look }) => look);
    const traits = [looks.map(({ colour }) => colour), looks.map(({ dash }) => dash.join()), looks.map(({ mark }) => mark)];
    expect(traits.map((trait) => new Set(trait).size), title).toEqual([lines.length, lines.length, lines.length]);
  }
});

test("nothing but zeros and gaps is nothing to draw", () => {
  const [jobs, waits] = chartsOf(body([bucket({}), bucket({})]));
  expect([jobs, waits].map((chart) => chart !== undefined && isEmpty(chart))).toEqual([true, true]);
});

test("a point without neighbours has a mark of its own", () => {
  const values = Array.from({ length: 60 }, (_, at) => (at === 7 || at > 30 ? 1 : null));
  expect(marksOf(values)).toEqual([7, 35, 40, 45, 50, 55]);
});

// From data to what the plotting library takes: axes, lines, marks and colours. No React here.

import type uPlot from "uplot";
import { short, span as spanWords } from "../ui/index.ts";
import { marksOf, type ChartData, type Line, type Mark, type Unit } from "./series.ts";

export type Colours = (token: string) => string;

/** The tokens as the theme has them now: a canvas does not know `light-dark()`, but an element's colour does. */
export function coloursOf(element: HTMLElement): Colours {
  const probe = document.createElement("span");
  element.append(probe);
  const read = (token: string): string => {
    probe.style.color = `var(--${token})`;
    return getComputedStyle(probe).color;
  };
  const known = new Map(["running", "bad", "stopped", "warn", "ink", "later", "line", "muted", "surface"].map((token) => [token, read(token)]));
  probe.remove();
  return (token) => known.get(token) ?? "currentColor";
}

export function wordsOfValue(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined) return "–";
  if (unit === "count") return short(value);
  if (value === 0) return "0";
  if (value < 1) return `${value < 0.1 ? Math.round(value * 10_000) / 10 : Math.round(value * 1000)} ms`;
  return spanWords(value).replace(".0 s", " s");
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const SECONDS = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
/** Days are the server's, which are UTC's. */
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

export function wordsOfTime(time_s: number, span: ChartData["span"]): string {
  return (span === "30d" ? DAY : span === "5m" ? SECONDS : TIME).format(new Date(time_s * 1000));
}

const MARK_PX = 3.2;

export function drawMark(path: Path2D, mark: Mark, x: number, y: number, r: number): void {
  if (mark === "circle") {
    path.moveTo(x + r, y);
    path.arc(x, y, r, 0, 2 * Math.PI);
  } else if (mark === "square") {
    path.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  } else {
    const corners: readonly (readonly [number, number])[] = mark === "triangle" ? [[0, -1.2], [1.1, 0.8], [-1.1, 0.8]] : [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]];
    corners.forEach(([dx, dy], at) => (at === 0 ? path.moveTo(x + dx * r, y + dy * r) : path.lineTo(x + dx * r, y + dy * r)));
    path.closePath();
  }
}

function seriesOf(line: Line, colours: Colours, ratio: number): uPlot.Series {
  const { colour, dash, mark } = line.look;
  const paths: uPlot.Series.Points.PathBuilder = (plot, index) => {
    const fill = new Path2D();
    const values = [...(plot.data[index] ?? [])];
    for (const at of marksOf(values.map((value) => (value === 0 ? null : value)))) {
      const x = plot.valToPos(plot.data[0][at] ?? 0, "x", true);
      drawMark(fill, mark, x, plot.valToPos(values[at] ?? 0, "y", true), MARK_PX * ratio);
    }
    return { fill, stroke: fill };
  };
  return {
    label: line.label,
    stroke: colours(colour),
    width: 1.5,
    dash: [...dash],
    spanGaps: false,
    points: { show: true, fill: colours(colour), stroke: colours(colour), width: 1, paths },
  };
}

export function optionsOf(data: ChartData, colours: Colours, width: number, height: number, onCursor: (at: number | null) => void): uPlot.Options {
  const axis = { stroke: colours("muted"), font: "11px system-ui, sans-serif", ticks: { show: false }, grid: { stroke: colours("line"), width: 1 } };
  return {
    width,
    height,
    // To the right half the word of the last time.
    padding: [8, data.span === "5m" ? 26 : 18, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: true },
      // From 0: a line that does not begin there makes small things look big.
      y: { range: (_plot, _min, max) => [0, max === null || max <= 0 ? 1 : max * 1.08] },
    },
    axes: [
      { ...axis, grid: { show: false }, space: 64, size: 26, values: (_plot, splits) => splits.map((split) => wordsOfTime(split, data.span)) },
      { ...axis, size: 56, space: 36, incrs: incrementsOf(data.unit), values: (_plot, splits) => splits.map((split) => wordsOfValue(split, data.unit)) },
    ],
    series: [{}, ...data.lines.map((line) => seriesOf(line, colours, devicePixelRatio))],
    hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? null)] },
  };
}

const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7];
const SPANS = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400, 172_800, 604_800];

/** Counts have no halves, and spans are read in seconds, minutes and hours. */
function incrementsOf(unit: Unit): number[] {
  return unit === "count" ? WHOLE : SPANS;
}

export function columnsOf(data: ChartData): uPlot.AlignedData {
  return [[...data.times], ...data.lines.map(({ values }) => [...values])];
}

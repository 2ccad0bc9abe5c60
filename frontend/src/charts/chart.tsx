// One chart: drawn on a canvas, with a legend of words and marks that tells the numbers under the pointer. What it shows
// is in a table as well (data-table.tsx), which is what assistive technology is for; here it has a summary.

import "uplot/dist/uPlot.min.css";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import uPlot from "uplot";
import { Legend } from "./legend.tsx";
import { columnsOf, coloursOf, optionsOf, wordsOfTime, wordsOfValue } from "./plot.ts";
import type { ChartData } from "./series.ts";

const HEIGHT_PX = 180;

/** Grows at each change of the theme: a canvas does not take part in it by itself. */
let themes = 0;
function listenTheme(hear: () => void): () => void {
  const changed = (): void => {
    themes += 1;
    hear();
  };
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", changed);
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => {
    scheme.removeEventListener("change", changed);
    observer.disconnect();
  };
}

export default function Chart({ data }: { data: ChartData }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const theme = useSyncExternalStore(listenTheme, () => themes);
  const shape = `${data.title} ${data.span} ${data.lines.length}`;

  useEffect(() => {
    const node = box.current;
    if (node === null) return;
    const made = new uPlot(optionsOf(data, coloursOf(node), node.clientWidth, HEIGHT_PX, setCursor), columnsOf(data), node);
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize({ width: node.clientWidth, height: HEIGHT_PX }));
    sizes.observe(node);
    return () => {
      sizes.disconnect();
      made.destroy();
      plot.current = null;
    };
    // Other numbers of the same chart are handed to it below.
  }, [shape, theme]);
  useEffect(() => plot.current?.setData(columnsOf(data)), [data]);

  const at = cursor !== null && cursor < data.times.length ? cursor : null;
  return (
    <div className="grid min-w-0 gap-1">
      <Legend data={data} at={at} />
      <div ref={box} role="img" aria-label={summaryOf(data)} data-chart={data.title} className="min-w-0 overflow-hidden" style={{ height: HEIGHT_PX }} />
    </div>
  );
}

function summaryOf({ title, lines, times, span, unit }: ChartData): string {
  const most = lines.map(({ label, values }) => `${label} at most ${wordsOfValue(Math.max(0, ...values.map((value) => value ?? 0)), unit)}`);
  return `${title}, ${wordsOfTime(times[0] ?? 0, span)} to ${wordsOfTime(times.at(-1) ?? 0, span)}: ${most.join(", ")}`;
}

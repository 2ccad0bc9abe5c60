// The lines of a chart in words, each with its colour, dashes and mark, and the number under the pointer.

import { wordsOfTime, wordsOfValue } from "./plot.ts";
import type { ChartData, Look, Mark } from "./series.ts";

export function Legend({ data, at }: { data: ChartData; at: number | null }) {
  const time = at === null ? undefined : data.times[at];
  return (
    <div className="flex min-h-5 flex-wrap items-center gap-x-4 gap-y-0.5 text-xs">
      {data.lines.map(({ label, look, values }) => (
        <span key={label} className="inline-flex items-center gap-1.5 whitespace-nowrap">
          <Swatch look={look} />
          {label}
          {at === null ? null : <span className="font-semibold">{wordsOfValue(values[at], data.unit)}</span>}
        </span>
      ))}
      {time === undefined ? null : <span className="ml-auto text-muted">{wordsOfTime(time, data.span)}</span>}
    </div>
  );
}

const SHAPES: Readonly<Record<Mark, string>> = {
  circle: "M23.2 6a3.2 3.2 0 1 1-6.4 0a3.2 3.2 0 0 1 6.4 0Z",
  square: "M17 3h6v6h-6z",
  triangle: "M20 2.2l3.5 6.4h-7z",
  diamond: "M20 1.9l4.1 4.1L20 10.1 15.9 6z",
};

function Swatch({ look }: { look: Look }) {
  const colour = `var(--${look.colour})`;
  return (
    <svg aria-hidden="true" width="40" height="12" viewBox="0 0 40 12" className="shrink-0">
      <path d="M1 6h38" fill="none" style={{ stroke: colour }} strokeWidth="1.5" strokeDasharray={look.dash.join(" ")} />
      <path d={SHAPES[look.mark]} style={{ fill: colour }} />
    </svg>
  );
}

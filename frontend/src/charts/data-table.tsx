// The numbers of a chart as a table, newest first: the other way to read it.

import { RowHead, Table, Td, Th } from "../ui/table.tsx";
import { wordsOfTime, wordsOfValue } from "./plot.ts";
import type { ChartData } from "./series.ts";

export function DataTable({ data }: { data: ChartData }) {
  const indexes = data.times.map((_, at) => at).reverse();
  return (
    <div tabIndex={0} role="group" aria-label={`${data.title}, as a table`} className="max-h-72 overflow-auto rounded-md border border-line">
      <Table
        label={data.title}
        dense
        head={
          <>
            <Th>From</Th>
            {data.lines.map(({ label }) => (
              <Th key={label} right>
                {label}
              </Th>
            ))}
          </>
        }
      >
        {indexes.map((at) => (
          <tr key={data.times[at]}>
            <RowHead className="font-normal whitespace-nowrap">
              {wordsOfTime(data.times[at] ?? 0, data.span)}
              {at === data.times.length - 1 ? <span className="text-xs text-muted"> (so far)</span> : null}
            </RowHead>
            {data.lines.map(({ label, values }) => (
              <Td key={label} right className={values[at] === null || values[at] === 0 ? "text-muted" : ""}>
                {wordsOfValue(values[at], data.unit)}
              </Td>
            ))}
          </tr>
        ))}
      </Table>
    </div>
  );
}

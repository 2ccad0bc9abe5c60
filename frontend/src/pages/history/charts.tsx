// The charts of a span, or their numbers as tables. The drawing is a chunk of its own: tables do not need it.

import { lazy, Suspense, useMemo } from "react";
import type { HistoryBody } from "../../api/types.gen.ts";
import { DataTable } from "../../charts/data-table.tsx";
import { chartsOf, isEmpty } from "../../charts/series.ts";

const Chart = lazy(() => import("../../charts/chart.tsx"));

export function Charts({ body, tables }: { body: HistoryBody; tables: boolean }) {
  const charts = useMemo(() => chartsOf(body), [body]);
  return (
    <div className="grid min-w-0 gap-x-6 gap-y-5 lg:grid-cols-2">
      {charts.map((data) => (
        <section key={data.title} aria-label={data.title} className="grid min-w-0 content-start gap-2">
          <h2 className="text-sm font-semibold">
            {data.title}
            {isEmpty(data) ? <span className="font-normal text-muted"> · nothing in this span</span> : null}
          </h2>
          {tables ? (
            <DataTable data={data} />
          ) : (
            <Suspense fallback={<div className="h-52" aria-busy="true" />}>
              <Chart data={data} />
            </Suspense>
          )}
        </section>
      ))}
    </div>
  );
}

// Finished jobs by day, newest first. The heads lead to the lists.

import { Link } from "@tanstack/react-router";
import { getHistory } from "../../api/index.ts";
import type { HistoryBucket, StateName } from "../../api/types.gen.ts";
import { wordsOfValue } from "../../charts/plot.ts";
import { useApi } from "../../hooks/index.ts";
import { short, STATE_COLOURS } from "../../ui/index.ts";
import { RowHead, Table, Td, Th } from "../../ui/table.tsx";

const REFRESH_MS = 60_000;
const ENDS = ["completed", "failed", "cancelled"] as const satisfies readonly StateName[];
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });

/** Days on which nothing ended are left out; today is always there. */
export function daysOf(buckets: readonly HistoryBucket[]): readonly HistoryBucket[] {
  return buckets.filter((bucket, at) => at === buckets.length - 1 || bucket.submitted > 0 || ENDS.some((end) => bucket[end] > 0)).toReversed();
}

export function Days() {
  const { data } = useApi(["history", "30d"], (api, options) => getHistory(api, "30d", options), { everyMs: REFRESH_MS });
  if (data === undefined) return null;
  const days = daysOf(data.buckets);
  const today = data.buckets.at(-1)?.from;
  return (
    <section aria-labelledby="days" className="grid min-w-0 gap-2">
      <h2 id="days" className="text-sm font-semibold">
        Finished jobs by day <span className="font-normal text-muted">· 30 days, which begin at midnight UTC</span>
      </h2>
      <div className="overflow-hidden rounded-md border border-line bg-surface">
        <Table label="Finished jobs by day" dense head={<Head />}>
          {days.map((day) => (
            <Day key={day.from} day={day} today={day.from === today} />
          ))}
        </Table>
      </div>
    </section>
  );
}

function Head() {
  return (
    <>
      <Th>Day</Th>
      <Th right className="max-sm:hidden">
        Submitted
      </Th>
      {ENDS.map((state) => (
        <Th key={state} right>
          <Link to="/jobs" search={{ state: [state] }} title={`The list of ${state} jobs`} className="capitalize underline underline-offset-2">
            {state}
          </Link>
        </Th>
      ))}
      <Th right className="max-sm:hidden">
        Waited, p95
      </Th>
      <Th right className="max-sm:hidden">
        Ran, p95
      </Th>
    </>
  );
}

function Day({ day, today }: { day: HistoryBucket; today: boolean }) {
  return (
    <tr data-day={day.from.slice(0, 10)}>
      <RowHead className="font-normal whitespace-nowrap">
        {DAY.format(new Date(day.from))}
        {today ? <span className="text-xs text-muted"> (so far)</span> : null}
      </RowHead>
      <Td right className="max-sm:hidden">
        {short(day.submitted)}
      </Td>
      {ENDS.map((state) => (
        <Td key={state} right className={day[state] === 0 ? "text-muted" : STATE_COLOURS[state]}>
          <span title={String(day[state])}>{short(day[state])}</span>
        </Td>
      ))}
      <Td right className="max-sm:hidden">
        {wordsOfValue(day.wait_s?.p95, "seconds")}
      </Td>
      <Td right className="max-sm:hidden">
        {wordsOfValue(day.run_s?.p95, "seconds")}
      </Td>
    </tr>
  );
}

// How things stand: jobs by state with ways to their lists, and how fast they come and go.

import { Link } from "@tanstack/react-router";
import { STATES } from "../../api/index.ts";
import type { RateTable } from "../../api/types.gen.ts";
import { useStats } from "../../hooks/index.ts";
import { Icon, short, STATE_COLOURS } from "../../ui/index.ts";
import { RowHead, Table, Td, Th } from "../../ui/table.tsx";

const RATES: readonly (readonly [keyof RateTable, string])[] = [
  ["submitted", "Submitted"],
  ["started", "Started"],
  ["completed", "Completed"],
  ["failed", "Failed"],
];

/** A rate in the unit in which it is a number that one reads. */
export function rateWords(perSecond: number): string {
  if (perSecond === 0) return "0";
  if (perSecond >= 1) return `${perSecond < 10 ? perSecond.toFixed(1) : short(Math.round(perSecond))} /s`;
  const perMinute = perSecond * 60;
  return perMinute >= 1 ? `${perMinute.toFixed(1)} /min` : `${(perSecond * 3600).toFixed(1)} /h`;
}

export function Now() {
  const stats = useStats();
  return (
    <section aria-labelledby="now" className="grid gap-3 md:grid-cols-[minmax(0,1fr)_22rem]">
      <h2 id="now" className="sr-only">
        Now
      </h2>
      <ul aria-label="Jobs by state" className="grid grid-cols-2 gap-2 sm:grid-cols-4">
        {STATES.map((state) => {
          const count = stats?.jobs[state];
          return (
            <li key={state} data-count={state}>
              <Link to="/jobs" search={{ state: [state] }} className="flex h-full items-center justify-between gap-x-2 rounded-md border border-line bg-surface px-3 py-1.5 hover:bg-hover sm:grid sm:content-center sm:gap-0.5">
                <span className={`inline-flex items-center gap-1.5 text-xs ${STATE_COLOURS[state]}`}>
                  <Icon name={state} size={12} />
                  {state}
                </span>
                <span title={count === undefined ? undefined : String(count)} className={`text-base font-semibold sm:text-lg ${count === 0 ? "text-muted" : ""}`}>
                  {count === undefined ? "…" : short(count)}
                </span>
              </Link>
            </li>
          );
        })}
      </ul>
      <div className="overflow-hidden rounded-md border border-line bg-surface">
        <Table
          label="Rates"
          dense
          head={
            <>
              <Th>Jobs</Th>
              <Th right>Last minute</Th>
              <Th right>Last 5 min</Th>
            </>
          }
        >
          {RATES.map(([key, words]) => (
            <tr key={key} data-rate={key}>
              <RowHead className="font-normal">{words}</RowHead>
              <Td right>
                {stats === undefined ? "…" : rateWords(stats.rates[key].per_second_1m)}
              </Td>
              <Td right>
                {stats === undefined ? "…" : rateWords(stats.rates[key].per_second_5m)}
              </Td>
            </tr>
          ))}
        </Table>
      </div>
    </section>
  );
}

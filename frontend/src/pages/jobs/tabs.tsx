// The states as tabs with their counts. One is chosen at a time; the address may name several.

import { countsOf } from "../../hooks/index.ts";
import { ACTIVE, TERMINAL } from "../../api/index.ts";
import type { StateCounts, StateName, StatsBody } from "../../api/types.gen.ts";
import type { JobsSearch } from "../../app/search.ts";
import { short, STATE_COLOURS } from "../../ui/index.ts";

type Tab = "all" | "active" | StateName;
const TABS: readonly Tab[] = ["all", "active", "running", "queued", "scheduled", "retryable", "blocked", ...TERMINAL];

function countOf(tab: Tab, counts: StateCounts | null): number | null {
  if (counts === null) return null;
  const sum = (states: readonly StateName[]): number => states.reduce((total, state) => total + counts[state], 0);
  if (tab === "all") return sum(ACTIVE) + sum(TERMINAL);
  return tab === "active" ? sum(ACTIVE) : counts[tab];
}

function isChosen(tab: Tab, states: JobsSearch["state"]): boolean {
  return tab === "all" ? states === undefined : (states?.includes(tab) ?? false);
}

interface Props {
  readonly search: JobsSearch;
  readonly stats: StatsBody | undefined;
  readonly onChange: (patch: Partial<JobsSearch>) => void;
}

export function StateTabs({ search, stats, onChange }: Props) {
  const { kind, queue, tag, q, at } = search;
  const counts = countsOf(stats, { kind, queue, narrower: tag !== undefined || q !== undefined || at !== undefined });
  return (
    <div role="group" aria-label="State" className="-mx-1 flex min-w-0 flex-1 gap-0.5 overflow-x-auto px-1 max-sm:order-last max-sm:w-full">
      {TABS.map((tab) => {
        const count = countOf(tab, counts);
        const chosen = isChosen(tab, search.state);
        return (
          <button
            key={tab}
            type="button"
            aria-pressed={chosen}
            onClick={() => onChange({ state: tab === "all" ? undefined : [tab] })}
            className={`inline-flex h-8 shrink-0 items-center gap-1 rounded-md px-1.5 text-sm font-medium capitalize ${chosen ? "bg-chosen text-ink" : "text-muted hover:bg-hover hover:text-ink"}`}
          >
            {tab}
            {count === null || count === 0 ? null : (
              <span title={String(count)} className={`text-xs ${tab === "all" || tab === "active" ? "" : STATE_COLOURS[tab]}`}>
                {short(count)}
              </span>
            )}
          </button>
        );
      })}
    </div>
  );
}

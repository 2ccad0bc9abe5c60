// The states as tabs with their counts. A click chooses one; with Ctrl, Cmd or Shift it is added to the others, or taken
// away. The address has them all.

import type { MouseEvent } from "react";
import { ACTIVE, TERMINAL } from "../../api/index.ts";
import type { StateCounts, StateName } from "../../api/types.gen.ts";
import type { JobsSearch } from "../../app/search.ts";
import { Icon, short, STATE_COLOURS } from "../../ui/index.ts";

type Tab = "all" | "active" | StateName;
const TABS: readonly Tab[] = ["all", "active", "running", "queued", "scheduled", "retryable", "blocked", ...TERMINAL];

function countOf(tab: Tab, counts: StateCounts | null): number | null {
  if (counts === null) return null;
  const sum = (states: readonly StateName[]): number => states.reduce((total, state) => total + counts[state], 0);
  if (tab === "all") return sum(ACTIVE) + sum(TERMINAL);
  return tab === "active" ? sum(ACTIVE) : counts[tab];
}

/** How many match, by states alone. */
export function countOfStates(states: JobsSearch["state"], counts: StateCounts | null): number | null {
  if (counts === null || states === undefined) return countOf("all", counts);
  const each = new Set(states.flatMap((state) => (state === "active" ? ACTIVE : [state])));
  return [...each].reduce((total, state) => total + counts[state], 0);
}

function isChosen(tab: Tab, states: JobsSearch["state"]): boolean {
  return tab === "all" ? states === undefined : (states?.includes(tab) ?? false);
}

export function nextStates(tab: Tab, states: JobsSearch["state"], together: boolean): JobsSearch["state"] {
  if (tab === "all") return undefined;
  if (!together) return [tab];
  const next = states?.includes(tab) === true ? states.filter((one) => one !== tab) : [...(states ?? []), tab];
  return next.length === 0 ? undefined : next;
}

interface Props {
  readonly search: JobsSearch;
  readonly counts: StateCounts | null;
  readonly onChange: (patch: Partial<JobsSearch>) => void;
}

export function StateTabs({ search, counts, onChange }: Props) {
  const click = (tab: Tab) => (event: MouseEvent) =>
    onChange({ state: nextStates(tab, search.state, event.ctrlKey || event.metaKey || event.shiftKey) });
  return (
    <div role="group" aria-label="State" className="-mx-1 flex min-w-0 flex-1 gap-0.5 overflow-x-auto px-1">
      {TABS.map((tab) => {
        const count = countOf(tab, counts);
        const chosen = isChosen(tab, search.state);
        const state = tab === "all" || tab === "active" ? null : tab;
        return (
          <button
            key={tab}
            type="button"
            aria-pressed={chosen}
            title={`${count === null ? "" : `${count.toLocaleString("en")} · `}${tab === "all" ? "every state" : "with Ctrl or Shift, beside the others"}`}
            onClick={click(tab)}
            className={`inline-flex h-8 shrink-0 items-center gap-1.5 rounded-md px-2 text-sm font-medium capitalize ${chosen ? "bg-chosen text-ink" : "text-muted hover:bg-hover hover:text-ink"}`}
          >
            {state === null ? null : <Icon name={state} size={14} className={STATE_COLOURS[state]} />}
            {tab}
            {count === null ? null : <span className="text-xs text-muted">{short(count)}</span>}
          </button>
        );
      })}
    </div>
  );
}

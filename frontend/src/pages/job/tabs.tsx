// The tabs of a job: in the address, walked by the arrow keys, with a count where there is one.

import { useRef, type KeyboardEvent } from "react";
import type { JobRow } from "../../api/types.gen.ts";
import type { JobTab } from "../../app/search.ts";
import { useShortcut } from "../../app/shortcuts.ts";
import { short } from "../../ui/index.ts";

interface Tab {
  readonly name: JobTab;
  readonly label: string;
  readonly count?: number;
}

export function tabsOf(row: JobRow): Tab[] {
  return [
    { name: "overview", label: "Overview" },
    ...(row.items === null || row.items.total === 0 ? [] : [{ name: "items", label: "Items", count: row.items.total } as const]),
    { name: "log", label: "Log" },
    { name: "timeline", label: "Timeline" },
    { name: "tree", label: "Tree" },
  ];
}

export function TabList({ tabs, tab, onTab }: { tabs: readonly Tab[]; tab: JobTab; onTab: (tab: JobTab) => void }) {
  const list = useRef<HTMLDivElement>(null);
  const step = (by: number): void => {
    const at = tabs.findIndex(({ name }) => name === tab);
    const next = tabs[(at + by + tabs.length) % tabs.length];
    if (next === undefined) return;
    const inside = list.current?.contains(document.activeElement) === true;
    onTab(next.name);
    if (inside) list.current?.querySelector<HTMLElement>(`#job-tab-${next.name}`)?.focus();
  };
  useShortcut("ArrowLeft", "The tab before", "Job", () => step(-1));
  useShortcut("ArrowRight", "The next tab", "Job", () => step(1));
  const ends = (event: KeyboardEvent): void => {
    const next = event.key === "Home" ? tabs[0] : event.key === "End" ? tabs.at(-1) : undefined;
    if (next === undefined) return;
    event.preventDefault();
    onTab(next.name);
    list.current?.querySelector<HTMLElement>(`#job-tab-${next.name}`)?.focus();
  };
  return (
    <div ref={list} role="tablist" aria-label="Parts of the job" onKeyDown={ends} className="flex shrink-0 gap-1 overflow-x-auto overflow-y-hidden border-b border-line px-2 sm:px-3">
      {tabs.map(({ name, label, count }) => (
        <button
          key={name}
          id={`job-tab-${name}`}
          type="button"
          role="tab"
          aria-selected={name === tab}
          aria-controls="job-panel"
          tabIndex={name === tab ? 0 : -1}
          onClick={() => onTab(name)}
          className={`-mb-px flex h-9 shrink-0 items-center gap-1.5 border-b-2 px-2 text-sm font-medium ${name === tab ? "border-accent text-ink" : "border-transparent text-muted hover:text-ink"}`}
        >
          {label}
          {count === undefined ? null : (
            <span title={String(count)} className="text-xs text-muted">
              {short(count)}
            </span>
          )}
        </button>
      ))}
    </div>
  );
}

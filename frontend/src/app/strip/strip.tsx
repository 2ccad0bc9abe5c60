// The strip of active jobs, the same on every page: what runs and waits now, and what ended while nobody looked. On a
// phone it is one line that opens.

import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { usePast, useReadable, useWorld } from "../../hooks/index.ts";
import type { StripView } from "../../store/index.ts";
import { Icon, useNarrow } from "../../ui/index.ts";
import { ActiveJob, EndedJob } from "./chip.tsx";

export function Strip() {
  const { active } = useWorld();
  const view = useReadable(active.view);
  const past = usePast().at !== null;
  const narrow = useNarrow();
  const [open, setOpen] = useState(false);
  if (view.ids.length === 0 && view.ended.length === 0) return null;
  return (
    <section aria-label="Active jobs" className="flex shrink-0 border-b border-line bg-sunken max-sm:flex-col sm:items-center sm:gap-2 sm:px-4 sm:py-1.5">
      {narrow ? <Summary view={view} open={open} onToggle={() => setOpen(!open)} /> : <h2 className="text-xs font-semibold whitespace-nowrap text-muted">{past ? "Active now" : "Active"}</h2>}
      {narrow && !open ? null : <Jobs view={view} />}
    </section>
  );
}

function wordsOf({ ids, more, ended }: StripView): string {
  const active = ids.length + more;
  const parts = [active === 0 ? "" : `${active} active`, ended.length === 0 ? "" : `${ended.length} ended while you were away`];
  return parts.filter((part) => part !== "").join(" · ");
}

function Summary({ view, open, onToggle }: { view: StripView; open: boolean; onToggle: () => void }) {
  return (
    <h2 className="contents">
      <button type="button" aria-expanded={open} onClick={onToggle} className="flex h-9 items-center gap-2 px-3 text-sm text-muted">
        <Icon name="running" />
        {wordsOf(view)}
        <Icon name={open ? "up" : "down"} className="ml-auto" />
      </button>
    </h2>
  );
}

function Jobs({ view: { ids, more, ended } }: { view: StripView }) {
  const { active } = useWorld();
  return (
    <>
      <ul className="flex min-w-0 gap-2 max-sm:max-h-[45dvh] max-sm:flex-col max-sm:overflow-y-auto max-sm:px-3 max-sm:pb-2 sm:overflow-x-auto">
        {ended.map((job) => (
          <EndedJob key={job.id} job={job} onDismiss={() => active.dismiss(job.id)} />
        ))}
        {ids.map((id) => (
          <ActiveJob key={id} id={id} />
        ))}
      </ul>
      <div className="flex shrink-0 items-center gap-3 text-sm max-sm:px-3 max-sm:pb-2 max-sm:empty:hidden">
        {more === 0 ? null : (
          <Link to="/jobs" search={{ state: ["active"], at: undefined }} className="whitespace-nowrap text-accent underline underline-offset-2">
            and {more} more
          </Link>
        )}
        {ended.length < 2 ? null : (
          <button type="button" onClick={() => active.dismissAll()} className="whitespace-nowrap text-accent underline underline-offset-2">
            Dismiss all
          </button>
        )}
      </div>
    </>
  );
}

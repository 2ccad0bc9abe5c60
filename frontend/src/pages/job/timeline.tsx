// Every event of the job, newest first, and the attempts that they tell of. Live.

import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { PublishedEvent } from "../../api/types.gen.ts";
import { travelTo } from "../../travel/at.ts";
import { Ago, Button, Empty, Icon, Loading, ProblemBox, Time } from "../../ui/index.ts";
import { JsonView } from "../../ui/json-view.tsx";
import { Attempts } from "./attempts-table.tsx";
import { attemptsOf } from "./attempts.ts";
import { useEvents } from "./data.ts";
import { actorOf, told, workersOf } from "./event-words.ts";
import { Block } from "./overview.tsx";

const AT_ONCE = 200;

export function Timeline({ id, at }: { id: string; at: number | undefined }) {
  const { view, more } = useEvents(id, at);
  const { events, gone, phase, complete, problem } = view;
  if (events.length === 0) {
    if (phase === "failed") return <ProblemBox error={problem} onRetry={more} />;
    return phase === "loading" ? <Loading label="Loading the timeline" /> : <Empty title="No events" />;
  }
  const attempts = attemptsOf(events);
  return (
    <div className="min-h-0 flex-1 overflow-y-auto px-3 py-4 sm:px-4">
      <div className="grid gap-6">
        {attempts.length === 0 ? null : <Attempts attempts={attempts} />}
        {complete || phase === "loading" ? null : phase === "failed" ? (
          <ProblemBox error={problem} onRetry={more} />
        ) : (
          <p className="flex items-center gap-2 text-sm text-muted">
            The first {events.length} events are here; what came later is not yet.
            <Button onClick={more}>Read on</Button>
          </p>
        )}
        {gone === 0 ? null : <p className="text-sm text-muted">{gone.toLocaleString("en")} of the oldest, reports of progress first, are not kept here; the log has them.</p>}
        <Events events={events} />
      </div>
    </div>
  );
}

function Events({ events }: { events: readonly PublishedEvent[] }) {
  const [full, setFull] = useState(false);
  const [shown, setShown] = useState(AT_ONCE);
  const workers = workersOf(events);
  const chosen = full ? events : events.filter((event) => !told(event).minor);
  const hidden = events.length - chosen.length;
  const latest = chosen.slice(-shown).reverse();
  return (
    <Block title={`Events (${events.length})`}>
      <label className="flex items-center gap-2 text-sm">
        <input type="checkbox" checked={full} onChange={(event) => setFull(event.target.checked)} className="accent-(--accent)" />
        <span>
          Progress, items, files and checkpoints as well
          {hidden === 0 ? null : <span className="text-muted"> ({hidden} hidden)</span>}
        </span>
      </label>
      <ol aria-label="Events, newest first" className="overflow-hidden rounded-md border border-line bg-surface">
        {latest.map((event) => (
          <One key={event.seq} event={event} actor={actorOf(event, workers)} />
        ))}
      </ol>
      {chosen.length > shown ? (
        <div>
          <Button onClick={() => setShown(shown + AT_ONCE)}>Earlier ones ({chosen.length - shown})</Button>
        </div>
      ) : null}
    </Block>
  );
}

function One({ event, actor }: { event: PublishedEvent; actor: string }) {
  const { title, icon, detail } = told(event);
  const [open, setOpen] = useState(false);
  const empty = Object.keys(event.data).length === 0;
  return (
    <li data-event={event.type} className="border-b border-line text-sm last:border-b-0">
      <details onToggle={(toggled) => setOpen(toggled.currentTarget.open)}>
        <summary className="grid min-h-9 cursor-pointer list-none grid-cols-[1rem_minmax(0,1fr)_auto] items-center gap-x-2 gap-y-0.5 px-3 py-1.5 hover:bg-hover sm:grid-cols-[1rem_minmax(0,1fr)_minmax(0,14rem)_11rem]">
          <Icon name={icon} className="text-muted" />
          <span className="min-w-0 truncate">
            <span className="font-medium">{title}</span>
            {detail === "" ? null : <span className="text-muted"> · {detail}</span>}
          </span>
          <span className="min-w-0 truncate text-muted max-sm:col-start-2 max-sm:row-start-2 max-sm:text-xs" title={`${event.actor.type} ${event.actor.id ?? ""}`}>
            by {actor}
          </span>
          <span className="text-right text-muted max-sm:col-start-3 max-sm:row-start-1 max-sm:text-xs">
            <span className="max-sm:hidden">
              <Time at={event.at} /> (
            </span>
            <Ago at={event.at} />
            <span className="max-sm:hidden">)</span>
          </span>
        </summary>
        {open ? (
          <div className="grid gap-2 border-t border-line bg-bg px-3 py-2">
            <p className="font-mono text-xs break-all text-muted">
              {event.type} · seq {event.seq} · {event.at} ·{" "}
              <Link to="." search={travelTo(event.seq)} className="text-accent underline underline-offset-2">
                as of this event
              </Link>
            </p>
            {empty ? null : <JsonView value={event.data} label="data of the event" />}
          </div>
        ) : null}
      </details>
    </li>
  );
}

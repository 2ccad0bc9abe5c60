// The jobs that a restart of the server touched, each with what happened to it and how it stands now.

import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { useLiveRow, useReadable, useWorld } from "../hooks/index.ts";
import type { AftermathView, Fate, JobFate } from "../store/index.ts";
import { Dialog, StateBadge } from "../ui/index.ts";

/** Each is followed live while the list is open. */
const LISTED_MAX = 50;

const HEADS: Readonly<Record<Fate, string>> = {
  failed: "Failed: lost too often",
  lost: "Lost their run, and were queued again",
  queued: "Given back in order, and queued again",
  resumed: "Resumed by their workers",
};
const FATES = Object.keys(HEADS) as Fate[];

export default function AftermathDialog() {
  const { aftermath } = useWorld();
  const open = useReadable(aftermath.looked);
  const view = useReadable(aftermath.view);
  return (
    <Dialog open={open && view !== null} title="What the restart did" onClose={() => aftermath.look(false)}>
      {view === null ? null : <Fates view={view} done={() => aftermath.look(false)} />}
    </Dialog>
  );
}

function Fates({ view, done }: { view: AftermathView; done: () => void }) {
  const listed = [...view.jobs].slice(-LISTED_MAX);
  return (
    <div className="grid gap-4">
      {FATES.map((fate) => {
        const jobs = listed.filter(([, one]) => one.fate === fate);
        return jobs.length === 0 ? null : (
          <section key={fate}>
            <h3 className="mb-1 text-xs font-semibold text-muted">{HEADS[fate]}</h3>
            <ul className="grid gap-1">
              {jobs.map(([id, one]) => (
                <TouchedJob key={id} id={id} fate={one} done={done} />
              ))}
            </ul>
          </section>
        );
      })}
      {view.jobs.size > LISTED_MAX ? <p className="text-sm text-muted">These are the last {LISTED_MAX} of {view.jobs.size}.</p> : null}
    </div>
  );
}

function TouchedJob({ id, fate, done }: { id: string; fate: JobFate; done: () => void }) {
  const world = useWorld();
  useEffect(() => world.follow(id), [world, id]);
  const row = useLiveRow(id);
  return (
    <li className="flex min-w-0 flex-wrap items-center gap-x-3 text-sm">
      <Link to="/jobs/$id" params={{ id }} search={{ at: undefined }} onClick={done} className="min-w-0 truncate text-accent underline underline-offset-2">
        {row === undefined ? id : `${row.kind} ${id.slice(-8)}`}
      </Link>
      <span className="text-muted">{fate.cause === null ? `event ${fate.seq}` : `${fate.cause.replaceAll("_", " ")}, event ${fate.seq}`}</span>
      {row === undefined ? null : (
        <span className="ml-auto">
          now <StateBadge state={row.state} />
        </span>
      )}
    </li>
  );
}

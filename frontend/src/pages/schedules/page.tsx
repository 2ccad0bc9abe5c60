// What makes jobs again and again: when, what came of it last, and a form for those that are not the configuration's.

import { useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useRef, useState } from "react";
import { Page } from "../../app/page.tsx";
import { useShortcut } from "../../app/shortcuts.ts";
import { allRows, listSchedules } from "../../api/index.ts";
import type { ScheduleRow } from "../../api/types.gen.ts";
import { useApi } from "../../hooks/index.ts";
import { Button, Empty, Icon, Loading, ProblemBox, useNarrow } from "../../ui/index.ts";
import { ticker } from "../../ui/ticker.ts";
import { useSome } from "../../ui/some.tsx";
import { Cards, moveRow, Table, TableArea, Th } from "../../ui/table.tsx";
import { Remove } from "./remove.tsx";
import { ScheduleForm } from "./schedule-form.tsx";
import { ScheduleCard, ScheduleLine } from "./row.tsx";

const REFRESH_MS = 5_000;
/** After a time that is due, the server has acted upon it. */
const FIRED_MS = 700;
/** Times, jobs and outcomes in words need this much to stand side by side. */
const COLUMNS_REM = 60;
/** Timers beyond this fire at once; the next refresh sets another. */
const TIMER_MAX_MS = 60_000;

type Open = { readonly what: "edit" | "remove"; readonly row: ScheduleRow } | { readonly what: "create" } | null;

export function SchedulesPage() {
  const { at } = useSearch({ from: "__root__" });
  const query = useApi(["schedules"], (api, options) => allRows((page) => listSchedules(api, page, options), ({ schedules }) => schedules), { everyMs: REFRESH_MS, keep: true });
  const [open, setOpen] = useState<Open>(null);
  const narrow = useNarrow(COLUMNS_REM);
  const area = useRef<HTMLDivElement>(null);
  useShortcut("j", "Next schedule", "Schedules", () => moveRow(area.current, 1));
  useShortcut("k", "Previous schedule", "Schedules", () => moveRow(area.current, -1));
  const { refetch } = query;
  const rows = query.data ?? [];
  useNextTime(rows, () => void refetch());
  const close = useCallback((): void => setOpen(null), []);
  const done = (): void => {
    close();
    void refetch();
  };
  useShortcut("n", "New schedule", "Schedules", () => {
    if (at === undefined) setOpen({ what: "create" });
  });
  const Row = narrow ? ScheduleCard : ScheduleLine;
  const { some, more } = useSome(rows);
  const drawn = some.map((row) => <Row key={row.name} row={row} disabled={at !== undefined} onEdit={() => setOpen({ what: "edit", row })} onRemove={() => setOpen({ what: "remove", row })} />);
  const create = (
    <Button look={rows.length === 0 ? "plain" : "main"} icon="submit" disabled={at !== undefined} onClick={() => setOpen({ what: "create" })}>
      New schedule
    </Button>
  );
  return (
    <Page title="Schedules" actions={create} scroll={false}>
      <TableArea area={area} busy={query.isPending}>
        {at === undefined ? null : <OfNow />}
        {query.isError ? <ProblemBox error={query.error} onRetry={() => void refetch()} /> : null}
        {query.isPending ? <Loading /> : null}
        {query.isSuccess && rows.length === 0 ? <Nothing /> : null}
        {rows.length === 0 ? null : narrow ? (
          <Cards label="Schedules">{drawn}</Cards>
        ) : (
          <Table label="Schedules" head={<Head />}>
            {drawn}
          </Table>
        )}
        {more}
      </TableArea>
      {open?.what === "create" || open?.what === "edit" ? <ScheduleForm row={open.what === "edit" ? open.row : null} onDone={done} onClose={close} /> : null}
      {open?.what === "remove" ? <Remove row={open.row} onDone={done} onClose={close} /> : null}
    </Page>
  );
}

/** Looks again soon after the next time has come. */
function useNextTime(rows: readonly ScheduleRow[], look: () => void): void {
  const next = rows.reduce<number | null>((soonest, { next_at }) => (next_at === null ? soonest : Math.min(soonest ?? Infinity, Date.parse(next_at))), null);
  useEffect(() => {
    const now = ticker.server();
    if (next === null || next < now) return;
    const timer = setTimeout(look, Math.min(TIMER_MAX_MS, next - now + FIRED_MS));
    return () => clearTimeout(timer);
    // `look` is new at each render, and does the same.
  }, [next]);
}

function OfNow() {
  return (
    <p className="m-3 flex items-center gap-2 rounded-md border border-line bg-bg px-3 py-2 text-sm sm:m-4">
      <Icon name="info" className="text-running" />
      Schedules are shown as they are now: they cannot be looked at as of a past event.
    </p>
  );
}

function Head() {
  return (
    <>
      <Th>Schedule</Th>
      <Th>When</Th>
      <Th>Job</Th>
      <Th>Next</Th>
      <Th>Last time</Th>
      <Th>
        <span className="sr-only">Actions</span>
      </Th>
    </>
  );
}

function Nothing() {
  return (
    <Empty title="No schedules yet">
      <p>A schedule submits the same job again and again, by a cron expression. “New schedule” makes one; those that belong to a deployment are better off in daybook.toml.</p>
      <code className="rounded-md border border-line bg-sunken px-3 py-2 font-mono text-sm break-words text-ink">daybook schedules set NAME "*/15 * * * *" KIND</code>
    </Empty>
  );
}

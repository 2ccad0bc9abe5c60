// Who works: sessions with what they take and run, when they were last heard of, and child processes that are not there
// although they should be. Live, or as of an event.

import { useSearch } from "@tanstack/react-router";
import { useRef } from "react";
import { Page } from "../../app/page.tsx";
import { useShortcut } from "../../app/shortcuts.ts";
import { useApi, useWorkersAt } from "../../hooks/index.ts";
import { Empty, Loading, ProblemBox, useNarrow } from "../../ui/index.ts";
import { useSome } from "../../ui/some.tsx";
import { Cards, moveRow, Table, TableArea, Th } from "../../ui/table.tsx";
import { readBeats } from "./beats.ts";
import { Restarting } from "./restarting.tsx";
import { WorkerCard, WorkerLine } from "./row.tsx";

const BEATS_MS = 5_000;

export function WorkersPage() {
  const { at } = useSearch({ from: "__root__" });
  const { rows, phase, problem, reload } = useWorkersAt(at);
  const { data: beats } = useApi(["beats"], readBeats, { everyMs: BEATS_MS, enabled: at === undefined, keep: true });
  const narrow = useNarrow();
  const area = useRef<HTMLDivElement>(null);
  useShortcut("j", "Next worker", "Workers", () => moveRow(area.current, 1));
  useShortcut("k", "Previous worker", "Workers", () => moveRow(area.current, -1));
  const Row = narrow ? WorkerCard : WorkerLine;
  const inOrder = rows.toSorted((a, b) => (a.joined_at < b.joined_at ? -1 : 1));
  const { some, more } = useSome(inOrder);
  const drawn = some.map((row) => <Row key={row.session} row={row} beats={at === undefined ? beats : undefined} at={at} />);
  return (
    <Page title="Workers" scroll={false}>
      <TableArea area={area} busy={phase === "loading"}>
        {phase === "failed" ? <ProblemBox error={problem} {...(reload === undefined ? {} : { onRetry: reload })} /> : null}
        {phase === "loading" && rows.length === 0 ? <Loading /> : null}
        {rows.length === 0 ? null : narrow ? (
          <Cards label="Workers">{drawn}</Cards>
        ) : (
          <Table label="Workers" head={<Head />}>
            {drawn}
          </Table>
        )}
        {more}
        {at === undefined && beats !== undefined ? <Restarting troubles={beats.restarting} /> : null}
        {phase === "ready" && rows.length === 0 ? <Nothing at={at} /> : null}
      </TableArea>
    </Page>
  );
}

function Head() {
  return (
    <>
      <Th>Worker</Th>
      <Th>State</Th>
      <Th>Takes</Th>
      <Th>Runs</Th>
      <Th right>Last heard of</Th>
      <Th right className="max-md:hidden">
        Joined
      </Th>
      <Th>
        <span className="sr-only">Actions</span>
      </Th>
    </>
  );
}

function Nothing({ at }: { at: number | undefined }) {
  if (at !== undefined) return <Empty title="There was no worker then" />;
  return (
    <Empty title="No workers">
      <p>Jobs wait until a worker joins. To start one for a kind of jobs:</p>
      <code className="max-w-full rounded-md border border-line bg-sunken px-3 py-2 text-left font-mono text-sm break-words text-ink">
        daybook work --server {location.origin} --kind KIND -- COMMAND
      </code>
      <p>The README has more under “A worker on another machine” and “Workers as child processes”.</p>
    </Empty>
  );
}

// Where jobs wait: how many in which state, for how long, and what holds them back. Live, or as of an event.

import { useSearch } from "@tanstack/react-router";
import { useRef } from "react";
import { Page } from "../../app/page.tsx";
import { useShortcut } from "../../app/shortcuts.ts";
import { useQueuesAt } from "../../hooks/index.ts";
import { Empty, Loading, ProblemBox, useNarrow } from "../../ui/index.ts";
import { useSome } from "../../ui/some.tsx";
import { Cards, moveRow, Table, TableArea, Th } from "../../ui/table.tsx";
import { depthOf } from "./depth.ts";
import { QueueCard, QueueLine } from "./row.tsx";

export function QueuesPage() {
  const { at } = useSearch({ from: "__root__" });
  const { rows, phase, problem, reload } = useQueuesAt(at);
  const narrow = useNarrow();
  const area = useRef<HTMLDivElement>(null);
  useShortcut("j", "Next queue", "Queues", () => moveRow(area.current, 1));
  useShortcut("k", "Previous queue", "Queues", () => moveRow(area.current, -1));
  const most = Math.max(1, ...rows.map(({ depth }) => depthOf(depth)));
  const Row = narrow ? QueueCard : QueueLine;
  const { some, more } = useSome(rows);
  const drawn = some.map((row) => <Row key={row.name} row={row} most={most} at={at} />);
  return (
    <Page title="Queues" scroll={false}>
      <TableArea area={area} busy={phase === "loading"}>
        {phase === "failed" ? <ProblemBox error={problem} {...(reload === undefined ? {} : { onRetry: reload })} /> : null}
        {phase === "loading" && rows.length === 0 ? <Loading /> : null}
        {phase === "ready" && rows.length === 0 ? <Nothing at={at} /> : null}
        {rows.length === 0 ? null : narrow ? (
          <Cards label="Queues">{drawn}</Cards>
        ) : (
          <Table label="Queues" head={<Head />}>
            {drawn}
          </Table>
        )}
        {more}
      </TableArea>
    </Page>
  );
}

function Head() {
  return (
    <>
      <Th>Queue</Th>
      <Th>State</Th>
      <Th>Active jobs</Th>
      <Th right>Oldest waits</Th>
      <Th right className="max-md:hidden">
        At once
      </Th>
      <Th className="max-md:hidden">Rate</Th>
      <Th>
        <span className="sr-only">Actions</span>
      </Th>
    </>
  );
}

function Nothing({ at }: { at: number | undefined }) {
  if (at !== undefined) return <Empty title="There was no queue yet" />;
  return (
    <Empty title="No queues yet">
      <p>
        A queue is there from the first job that names it; a job without one waits in <code className="font-mono">default</code>.
      </p>
      <p>
        Limits are set in <code className="font-mono">daybook.toml</code>, under <code className="font-mono">[queues.NAME]</code>: see “Configuration” in the README.
      </p>
    </Empty>
  );
}

// Two moments side by side: what was active then and then, and what happened in between.

import { useState } from "react";
import { listQueues } from "../api/index.ts";
import type { QueueRow, StateName } from "../api/types.gen.ts";
import { useApi } from "../hooks/index.ts";
import { Button, CONTROL, Dialog, Loading, ProblemBox, StateBadge } from "../ui/index.ts";
import { BETWEEN_MAX, DEPTHS, queuesBetween, readBetween, sumOf, type Between } from "./between.ts";
import { clampSeq } from "./track.ts";
import { numberOf, plural } from "./words.ts";

interface Props {
  readonly at: number;
  /** Null: the dialog is closed. */
  readonly to: number | null;
  readonly earliest: number;
  readonly last: number;
  readonly onChange: (at: number, to: number | null) => void;
}

const QUEUES_MAX = 500;

export function Compare({ at, to, earliest, last, onChange }: Props) {
  return (
    <Dialog open={to !== null} title="Compare two moments" onClose={() => onChange(at, null)}>
      {to === null ? null : (
        <div className="grid gap-4">
          <Moments at={at} to={to} earliest={earliest} last={last} onChange={onChange} />
          <Differences from={Math.min(at, to)} to={Math.max(at, to)} />
        </div>
      )}
    </Dialog>
  );
}

function Moments({ at, to, earliest, last, onChange }: Props & { to: number }) {
  return (
    <div className="flex flex-wrap items-end gap-3">
      <Moment label="From event" seq={at} earliest={earliest} last={last} onChange={(seq) => onChange(seq, to)} />
      <Moment label="To event" seq={to} earliest={earliest} last={last} onChange={(seq) => onChange(at, seq)} />
      <Button onClick={() => onChange(to, at)}>Swap</Button>
    </div>
  );
}

interface MomentProps {
  readonly label: string;
  readonly seq: number;
  readonly earliest: number;
  readonly last: number;
  readonly onChange: (seq: number) => void;
}

/** Taken when one is done with typing. */
function Moment({ label, seq, earliest, last, onChange }: MomentProps) {
  const [text, setText] = useState<string | null>(null);
  const done = (): void => {
    const typed = Number(text);
    if (text !== null && Number.isFinite(typed) && text.trim() !== "") onChange(clampSeq(typed, earliest, last));
    setText(null);
  };
  return (
    <label className="grid gap-1 text-sm">
      <span className="text-muted">{label}</span>
      <input
        type="number"
        min={earliest}
        max={last}
        value={text ?? seq}
        onChange={(event) => setText(event.target.value)}
        onBlur={done}
        onKeyDown={(event) => {
          if (event.key === "Enter") done();
        }}
        className={`${CONTROL} w-36`}
      />
    </label>
  );
}

function Differences({ from, to }: { from: number; to: number }) {
  const many = to - from > BETWEEN_MAX;
  const queues = (seq: number) => ["queues", seq] as const;
  const before = useApi(queues(from), async (api, options) => (await listQueues(api, { at: from, limit: QUEUES_MAX }, options)).queues);
  const after = useApi(queues(to), async (api, options) => (await listQueues(api, { at: to, limit: QUEUES_MAX }, options)).queues);
  const between = useApi(["between", from, to], (api, { signal }) => readBetween(api, from, to, signal), { enabled: !many });
  const problem = before.error ?? after.error ?? between.error;
  if (problem !== null) return <ProblemBox error={problem} />;
  if (before.data === undefined || after.data === undefined) return <Loading />;
  return (
    <>
      <States before={before.data} after={after.data} from={from} to={to} />
      {many ? (
        <p className="text-sm">
          {plural(to - from, "event")} lie between them, too many to count one by one. Narrow it to {numberOf(BETWEEN_MAX)} to see what happened.
        </p>
      ) : between.data === undefined ? (
        <Loading label="Reading what happened" />
      ) : (
        <Happened between={between.data} />
      )}
      <Queues before={before.data} after={after.data} />
    </>
  );
}

const HEAD = "py-1 text-xs font-semibold text-muted";
/** As wide in each table, so that their columns stand below each other. */
const NUMBER = "w-24 py-1 pl-4 text-right max-sm:w-16";

function Change({ by }: { by: number }) {
  return <td className={NUMBER}>{by === 0 ? <span className="text-muted">same</span> : `${by > 0 ? "+" : "−"}${numberOf(Math.abs(by))}`}</td>;
}

function States({ before, after, from, to }: { before: readonly QueueRow[]; after: readonly QueueRow[]; from: number; to: number }) {
  const [then, now] = [sumOf(before), sumOf(after)];
  return (
    <table className="w-full text-sm">
      <caption className="sr-only">Active jobs by state, at both moments</caption>
      <thead>
        <tr className="border-b border-line">
          <th className={`${HEAD} text-left`}>Active jobs</th>
          <th className={`${HEAD} pl-4 text-right`}>event {numberOf(from)}</th>
          <th className={`${HEAD} pl-4 text-right`}>event {numberOf(to)}</th>
          <th className={`${HEAD} pl-4 text-right`}>Change</th>
        </tr>
      </thead>
      <tbody>
        {DEPTHS.map((state) => (
          <tr key={state} className="border-b border-line">
            <th className="py-1 text-left font-normal">
              <StateBadge state={state satisfies StateName} />
            </th>
            <td className={NUMBER}>{numberOf(then[state])}</td>
            <td className={NUMBER}>{numberOf(now[state])}</td>
            <Change by={now[state] - then[state]} />
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const TYPES_MAX = 12;

function Happened({ between }: { between: Between }) {
  const facts = [
    ["submitted", between.submitted],
    ["started", between.started],
    ["completed", between.completed],
    ["failed", between.failed],
    ["cancelled", between.cancelled],
    ["retried by hand", between.retried],
    ["lost a run", between.lost],
  ] as const;
  const said = facts.filter(([, count]) => count > 0).map(([word, count]) => `${numberOf(count)} ${word}`);
  return (
    <section>
      <h3 className="text-xs font-semibold text-muted">In between</h3>
      <p className="text-sm">
        {plural(between.events, "event")} of {plural(between.touched, "job")}
        {said.length === 0 ? "." : `: ${said.join(", ")}.`}
      </p>
      <details className="mt-1 text-sm">
        <summary className="text-muted">By type</summary>
        <ul>
          {between.types.slice(0, TYPES_MAX).map(([type, count]) => (
            <li key={type} className="flex justify-between gap-4">
              <span>{type}</span>
              <span>{numberOf(count)}</span>
            </li>
          ))}
        </ul>
      </details>
    </section>
  );
}

const LISTED_MAX = 20;

function Queues({ before, after }: { before: readonly QueueRow[]; after: readonly QueueRow[] }) {
  const all = queuesBetween(before, after);
  if (all.length === 0) return null;
  return (
    <table className="w-full text-sm">
      <caption className={`${HEAD} text-left`}>Active jobs by queue</caption>
      <tbody>
        {all.slice(0, LISTED_MAX).map(({ name, before: then, after: now }) => (
          <tr key={name} className="border-b border-line">
            <th className="max-w-40 truncate py-1 text-left font-normal">{name}</th>
            <td className={NUMBER}>{numberOf(then)}</td>
            <td className={NUMBER}>{numberOf(now)}</td>
            <Change by={now - then} />
          </tr>
        ))}
      </tbody>
    </table>
  );
}

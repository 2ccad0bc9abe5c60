// The runs of a job as a table: when, by whom, how each ended, how long it took.

import { Icon, Time, Took, type IconName } from "../../ui/index.ts";
import type { Attempt } from "./attempts.ts";
import { Block } from "./overview.tsx";

const TONES: Readonly<Record<Attempt["tone"], { icon: IconName; colour: string }>> = {
  good: { icon: "completed", colour: "text-good" },
  bad: { icon: "failed", colour: "text-bad" },
  warn: { icon: "warning", colour: "text-warn" },
  plain: { icon: "cancelled", colour: "text-stopped" },
};
/** Of a job that was lost again and again the latest. */
const SHOWN = 50;

export function Attempts({ attempts }: { attempts: readonly Attempt[] }) {
  return (
    <Block title={`Attempts (${attempts.length})`}>
      <div tabIndex={0} role="group" aria-label="Attempts" className="overflow-x-auto rounded-md border border-line bg-surface">
        <table className="w-full text-left text-sm">
          <thead className="bg-sunken text-xs text-muted">
            <tr>
              {["No.", "Began", "Ended", "Took", "Worker"].map((head) => (
                <th key={head} scope="col" className="px-3 py-1.5 font-semibold whitespace-nowrap">
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {attempts.slice(-SHOWN).map((attempt) => (
              <Row key={attempt.seq} attempt={attempt} />
            ))}
          </tbody>
        </table>
      </div>
    </Block>
  );
}

function Row({ attempt }: { attempt: Attempt }) {
  const { number, began, ended, how, detail, tone, worker, place } = attempt;
  const look = how === null ? { icon: "running", colour: "text-running" } as const : TONES[tone];
  return (
    <tr className="border-t border-line align-top">
      <td className="px-3 py-1.5">{number}</td>
      <td className="px-3 py-1.5 whitespace-nowrap">
        <Time at={began} />
      </td>
      <td className="min-w-40 px-3 py-1.5 max-sm:min-w-28">
        <span className={`inline-flex items-center gap-1.5 ${look.colour}`}>
          <Icon name={look.icon} />
          {how ?? "running"}
        </span>
        {detail === null || detail === "" ? null : <span className="line-clamp-2 break-words text-muted">{detail}</span>}
      </td>
      <td className="px-3 py-1.5 whitespace-nowrap">
        <Took from={began} to={ended} />
      </td>
      <td className="px-3 py-1.5 whitespace-nowrap">
        {worker} <span className="text-muted">{place}</span>
      </td>
    </tr>
  );
}

// Child processes of the server that are not there although they should be.

import type { Trouble } from "../../api/types.gen.ts";
import { Ago, Icon } from "../../ui/index.ts";

export function Restarting({ troubles }: { troubles: readonly Trouble[] }) {
  if (troubles.length === 0) return null;
  return (
    <section aria-labelledby="restarting" className="px-3 py-4 sm:px-4">
      <h2 id="restarting" className="mb-2 flex items-center gap-1.5 text-sm font-semibold">
        <Icon name="warning" className="text-warn" />
        Child processes that are to be started again
      </h2>
      <ul className="grid gap-2 text-sm">
        {troubles.map(({ name, kind, detail, faults, next_start_at }) => (
          <li key={name} className="grid gap-0.5 rounded-md border border-line bg-bg px-3 py-2">
            <span className="flex flex-wrap justify-between gap-x-4">
              <span className="font-medium break-words">
                {name} <span className="font-normal text-muted">of kind {kind}</span>
              </span>
              <span className="text-muted">
                {faults === 1 ? "failed once" : `failed ${faults} times in a row`}, next try <Ago at={next_start_at} />
              </span>
            </span>
            <span className="break-words text-bad">{detail}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

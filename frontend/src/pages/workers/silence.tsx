// How long a worker has been silent, and the mark of one that is late: it is shown until the server lets it go.

import { useSyncExternalStore } from "react";
import type { WorkerRow } from "../../api/types.gen.ts";
import { ago, Icon, Time } from "../../ui/index.ts";
import { ticker } from "../../ui/ticker.ts";
import { isLate, silenceOf, type Beats } from "./beats.ts";

export function useIsLate(beats: Beats | undefined, session: string): boolean {
  return useSyncExternalStore(ticker.listen, () => isLate(beats, session, ticker.get()));
}

export function LateMark() {
  return (
    <span title="Two of its beats in a row did not come. If it stays away, its jobs are handed out again." className="inline-flex items-center gap-1 text-xs text-bad">
      <Icon name="warning" size={12} />
      Late
    </span>
  );
}

export function Silence({ beats, row }: { beats: Beats | undefined; row: WorkerRow }) {
  const words = useSyncExternalStore(ticker.listen, () => {
    const silent = silenceOf(beats, row.session, ticker.get());
    return silent === null ? null : ago(-silent * 1000, 0);
  });
  // Between joining and the first answer only the row is known.
  return words === null ? <Time at={row.last_beat_at} /> : <span title={`by the server's clock`}>{words}</span>;
}

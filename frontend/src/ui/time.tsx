// Moments: local, with UTC on hover; or how long ago, by the page's one ticker.

import { createContext, useContext, useSyncExternalStore } from "react";
import { ticker } from "./ticker.ts";
import { ago, clock, span } from "./words.ts";

function titleOf(at: string): string {
  return `${new Date(at).toLocaleString()} · ${at.replace("T", " ").replace("Z", " UTC")}`;
}

export function Time({ at }: { at: string }) {
  return (
    <time dateTime={at} title={titleOf(at)}>
      {clock(new Date(at), new Date())}
    </time>
  );
}

/** The moment that a page shows, if it is not now. */
export const Moment = createContext<string | null>(null);

/** From now; what lay ahead at the moment that a page shows, from that moment. */
export function Ago({ at }: { at: string }) {
  const moment = useContext(Moment);
  const then = moment !== null && Date.parse(at) > Date.parse(moment) ? Date.parse(moment) : null;
  // The words, not the tick: most seconds change nothing on the page.
  const words = useSyncExternalStore(ticker.listen, () => ago(Date.parse(at), then ?? ticker.server()));
  return (
    <time dateTime={at} title={titleOf(at)}>
      {words}
    </time>
  );
}

/** How long something took, or takes by now: what ran at the moment of the page had run so long then. */
export function Took({ from, to: end }: { from: string; to: string | null }) {
  const moment = useContext(Moment);
  const to = end ?? moment;
  const words = useSyncExternalStore(ticker.listen, () => {
    const until = to === null ? Math.max(ticker.server(), Date.parse(from)) : Date.parse(to);
    const seconds = (until - Date.parse(from)) / 1000;
    return span(to === null ? Math.floor(seconds) : seconds);
  });
  return <span>{words}</span>;
}

// Moments: local, with UTC on hover; or how long ago, by the page's one ticker.

import { useSyncExternalStore } from "react";
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

export function Ago({ at }: { at: string }) {
  // The words, not the tick: most seconds change nothing on the page.
  const words = useSyncExternalStore(ticker.listen, () => ago(Date.parse(at), ticker.get()));
  return (
    <time dateTime={at} title={titleOf(at)}>
      {words}
    </time>
  );
}

/** How long something took, or takes by now. */
export function Took({ from, to }: { from: string; to: string | null }) {
  const words = useSyncExternalStore(ticker.listen, () => {
    const end = to === null ? Math.max(ticker.get(), Date.parse(from)) : Date.parse(to);
    const seconds = (end - Date.parse(from)) / 1000;
    return span(to === null ? Math.floor(seconds) : seconds);
  });
  return <span>{words}</span>;
}

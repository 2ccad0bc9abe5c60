// How the page stands with the server, in one of four words; with the wait, and a way to end it.

import { useSyncExternalStore } from "react";
import { useConnection, useWorld } from "../hooks/index.ts";
import { pillOf, type Connection, type Pill as PillName } from "../sync/index.ts";
import { useAnnounced } from "./announce.ts";
import { ticker } from "../ui/ticker.ts";

const LOOKS: Readonly<Record<PillName, { readonly word: string; readonly dot: string; readonly text: string }>> = {
  live: { word: "Live", dot: "bg-good", text: "text-good" },
  "catching-up": { word: "Catching up", dot: "bg-warn", text: "text-warn" },
  restarted: { word: "Restarted", dot: "bg-running", text: "text-running" },
  offline: { word: "Offline", dot: "bg-bad", text: "text-bad" },
};

function titleOf(connection: Connection): string {
  switch (connection.state) {
    case "live":
      return "All changes arrive as they happen.";
    case "stopped":
      return `The server ended the connection: ${connection.reason || `code ${connection.code}`}.`;
    case "offline":
      return "This device is offline.";
    case "waiting":
      return "The server does not answer. It is tried again by itself, and all that is missed comes then.";
    case "stale":
      return "Nothing was heard from the server for a while.";
    default:
      return "Connecting to the server.";
  }
}

export function Pill() {
  const connection = useConnection();
  const { sync } = useWorld();
  const pill = pillOf(connection);
  const { word, dot, text } = LOOKS[pill];
  const retryAt = connection.state === "waiting" || connection.state === "offline" ? connection.retryAt : null;
  const said = useAnnounced(word);
  return (
    <div className="flex items-center gap-1">
      <span role="status" className="sr-only">
        {said === "" ? "" : `Connection: ${said}`}
      </span>
      <span
        data-connection={pill}
        title={titleOf(connection)}
        className={`inline-flex h-7 items-center gap-2 rounded-full border border-line bg-surface px-2.5 text-sm font-medium whitespace-nowrap ${text}`}
      >
        <span aria-hidden="true" className={`size-2 rounded-full ${dot}`} />
        {word}
        {retryAt === null ? null : <Countdown to={retryAt} />}
      </span>
      {pill === "offline" && connection.state !== "idle" ? (
        <button type="button" onClick={() => sync.retry()} className="h-7 rounded-md px-1.5 text-sm text-accent underline-offset-2 hover:underline">
          Retry<span className="max-sm:sr-only"> now</span>
        </button>
      ) : null}
    </div>
  );
}

function Countdown({ to }: { to: number }) {
  const seconds = useSyncExternalStore(ticker.listen, () => Math.max(0, Math.ceil((to - ticker.get()) / 1000)));
  return <span className="max-sm:hidden">{seconds > 0 ? `retry in ${seconds} s` : "retrying"}</span>;
}

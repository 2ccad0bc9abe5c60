// The live tail of a job's log: follow, pause, search, wrap, and the whole of it as a file.

import { useEffect, useRef, useState } from "react";
import { getLogs, isTerminal } from "../../api/index.ts";
import type { JobRow, KeptLine, LogStream } from "../../api/types.gen.ts";
import { useShortcut } from "../../app/shortcuts.ts";
import { useWorld } from "../../hooks/index.ts";
import type { LogView } from "../../store/index.ts";
import { Button, CONTROL, Empty, Loading, saveText } from "../../ui/index.ts";
import { useLog } from "./data.ts";
import { LogLines } from "./log-lines.tsx";
import { Choice, fileOf } from "./log-text.ts";

export function Log({ row, past }: { row: JobRow; past: boolean }) {
  if (past) {
    return (
      <Empty title="The log is not part of the past">
        <p>Lines of a log are not kept by event. Go back to live to read it.</p>
      </Empty>
    );
  }
  return <Live row={row} />;
}

function Live({ row }: { row: JobRow }) {
  const view = useLog(row.id);
  const [text, setText] = useState("");
  const [stream, setStream] = useState<LogStream | "all">("all");
  const [wrap, setWrap] = useState(true);
  const [follow, setFollow] = useState(true);
  /** The number of the last line that is shown while paused. */
  const [until, setUntil] = useState(Infinity);
  const search = useRef<HTMLInputElement>(null);
  const [choice] = useState(() => new Choice());
  const paused = until !== Infinity;
  const last = view.lines.at(-1)?.n ?? 0;
  const lines = choice.of(view.lines, { text: text.trim(), stream }, until);
  const pause = (): void => setUntil(paused ? Infinity : last);
  useShortcut("/", "Search the log", "Job", () => search.current?.focus());
  useShortcut("f", "Follow the log", "Job", () => setFollow(!follow));
  useShortcut("p", "Pause the log, or go on", "Job", pause);
  return (
    <>
      <div role="group" aria-label="Log" className="flex shrink-0 flex-wrap items-center gap-x-1.5 gap-y-2 border-b border-line px-3 py-2 sm:px-4">
        <input ref={search} type="search" aria-label="Search the log" placeholder="Search" value={text} onChange={(event) => setText(event.target.value)} className={`${CONTROL} min-w-32 flex-1 sm:max-w-56`} />
        <select aria-label="Stream" value={stream} onChange={(event) => setStream(event.target.value as LogStream | "all")} className={`${CONTROL} max-w-30 shrink-0`}>
          <option value="all">all streams</option>
          <option value="stdout">stdout</option>
          <option value="stderr">stderr</option>
          <option value="system">system</option>
        </select>
        <Button aria-pressed={follow} className="aria-pressed:bg-chosen" icon={follow ? "completed" : "down"} onClick={() => setFollow(!follow)}>
          Follow
        </Button>
        <Button aria-pressed={paused} className="aria-pressed:bg-chosen" icon="pause" onClick={pause}>
          {paused ? `Go on (${last - until} new)` : "Pause"}
        </Button>
        <label className="flex h-8 items-center gap-1.5 text-sm">
          <input type="checkbox" checked={wrap} onChange={(event) => setWrap(event.target.checked)} className="accent-(--accent)" />
          Wrap
        </label>
        <Download id={row.id} newest={() => view.lines.at(-1)?.n} />
      </div>
      <Told view={view} shown={lines.length} filtered={text.trim() !== "" || stream !== "all"} />
      <Body row={row} view={view} lines={lines} sought={text.trim()} wrap={wrap} follow={follow && !paused} onFollow={setFollow} />
    </>
  );
}

interface BodyProps {
  readonly row: JobRow;
  readonly view: LogView;
  readonly lines: readonly KeptLine[];
  readonly sought: string;
  readonly wrap: boolean;
  readonly follow: boolean;
  readonly onFollow: (follow: boolean) => void;
}

function Body({ row, view, lines, ...rest }: BodyProps) {
  if (view.phase === "failed") return <Empty title="The log cannot be followed">{view.problem}</Empty>;
  if (view.lines.length === 0) {
    if (view.phase === "loading") return <Loading label="Loading the log" />;
    return <Empty title="No lines">{row.purged_at !== null ? "Purged: they are gone." : isTerminal(row.state) ? "This job wrote nothing to its log." : "What the job writes appears here at once."}</Empty>;
  }
  if (lines.length === 0) return <Empty title="No line matches" />;
  return <LogLines key={rest.wrap ? "wrapped" : "long"} lines={lines} count={lines.length} version={view.version} {...rest} />;
}

function Told({ view, shown, filtered }: { view: LogView; shown: number; filtered: boolean }) {
  const words = [
    filtered ? `${shown} of ${view.lines.length} lines` : null,
    view.before > 0 ? `${view.before} earlier lines are not shown here: save the whole log to have them.` : null,
  ].filter((one) => one !== null);
  return words.length === 0 ? null : <p className="shrink-0 border-b border-line bg-sunken px-3 py-1 text-xs text-muted sm:px-4">{words.join(" · ")}</p>;
}

/** By pages, since the answer has no bound; what is shown may be less than the whole. */
function Download({ id, newest }: { id: string; newest: () => number | undefined }) {
  const { api, notices } = useWorld();
  const [count, setCount] = useState<number | null>(null);
  const stop = useRef(new AbortController());
  useEffect(() => {
    stop.current = new AbortController();
    return () => stop.current.abort();
  }, []);
  const save = async (): Promise<void> => {
    const { signal } = stop.current;
    const parts: string[] = [];
    const last = newest() ?? Infinity;
    setCount(0);
    try {
      for (let after = 0, all = 0; ; ) {
        const page = await getLogs(api, id, { after }, { signal });
        if (page.lines.length === 0) break;
        parts.push(fileOf(page.lines));
        all += page.lines.length;
        after = page.lines.at(-1)?.n ?? page.next_after;
        setCount(all);
        // A job that goes on writing would never be done: it is saved as it was when it was asked for.
        if (after >= last) break;
      }
      saveText(`${id}.log`, parts, "text/plain");
    } catch (error) {
      if (!signal.aborted) notices.say("error", "The log was not saved", error instanceof Error ? error.message : String(error));
    }
    if (!signal.aborted) setCount(null);
  };
  return (
    <Button icon="download" title="Save the whole log" disabled={count !== null} onClick={() => void save()} className="ml-auto">
      {count === null ? "Save" : `${count} lines …`}
    </Button>
  );
}

// JSON for people: folded below the second level, copied and saved with a button. An args of megabytes is legal, so only
// what is unfolded is drawn, lists a page at a time, and long texts are cut until somebody asks for them.

import { memo, useState } from "react";
import { isExact } from "../api/exact.ts";
import { IconButton } from "./button.tsx";
import { copyText, saveText } from "./copy.ts";

const ENTRIES_AT_ONCE = 100;
const TEXT_SHOWN = 1_000;
/** More than this of one text is saved, not shown. */
const TEXT_MAX = 200_000;
const OPEN_DEPTH = 2;
/** A list or object with more entries begins folded below the top. */
const OPEN_ENTRIES = 30;

export const JsonView = memo(function JsonView({ value, label }: { value: unknown; label: string }) {
  const [copied, setCopied] = useState(false);
  const text = (): string => JSON.stringify(value, null, 2) ?? "null";
  return (
    <section aria-label={label} className="relative min-w-0 rounded-md border border-line bg-surface">
      <div className="absolute top-1 right-1 z-10 flex rounded-md bg-surface">
        <IconButton icon={copied ? "completed" : "copy"} label={copied ? "Copied" : `Copy ${label}`} onClick={() => void copyText(text()).then(setCopied)} />
        <IconButton icon="download" label={`Save ${label}`} onClick={() => saveText(`${label}.json`, text(), "application/json")} />
      </div>
      <div
        tabIndex={0}
        role="group"
        aria-label={`${label} as JSON`}
        className="max-h-96 overflow-auto p-3 pr-18 font-mono text-sm leading-relaxed"
      >
        <Node value={value} depth={0} />
      </div>
    </section>
  );
});

function Node({ name, value, depth }: { name?: string; value: unknown; depth: number }) {
  const key = name === undefined ? null : <span className="text-muted">{name}: </span>;
  if (typeof value === "object" && value !== null && !isExact(value)) return <Branch name={key} value={value} depth={depth} />;
  return (
    <div className="break-words whitespace-pre-wrap">
      {key}
      <Leaf value={value} />
    </div>
  );
}

function Branch({ name, value, depth }: { name: React.ReactNode; value: object; depth: number }) {
  const keys = Array.isArray(value) ? null : Object.keys(value);
  const length = keys === null ? (value as readonly unknown[]).length : keys.length;
  const [open, setOpen] = useState(depth === 0 || (depth < OPEN_DEPTH && length <= OPEN_ENTRIES));
  const [shown, setShown] = useState(ENTRIES_AT_ONCE);
  const [left, right] = keys === null ? ["[", "]"] : ["{", "}"];
  if (length === 0) {
    return (
      <div>
        {name}
        {left}
        {right}
      </div>
    );
  }
  const names = open ? Array.from({ length: Math.min(shown, length) }, (_, at) => keys?.[at] ?? String(at)) : [];
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className="list-inside rounded hover:bg-hover">
        {name}
        <span className="text-muted">
          {left} {length} {right}
        </span>
      </summary>
      <div className="ml-1.5 border-l border-line pl-3">
        {names.map((field) => (
          <Node key={field} name={field} value={(value as Readonly<Record<string, unknown>>)[field]} depth={depth + 1} />
        ))}
        {open && length > shown ? <More words={`${length - shown} more: show ${Math.min(1000, length - shown)}`} onClick={() => setShown(shown + 1000)} /> : null}
      </div>
    </details>
  );
}

function Leaf({ value }: { value: unknown }) {
  if (typeof value === "string") return <Text value={value} />;
  if (typeof value === "number" || isExact(value)) return <span className="text-running">{isExact(value) ? value.rawJSON : String(value)}</span>;
  return <span className="text-later">{String(value)}</span>;
}

function Text({ value }: { value: string }) {
  const [whole, setWhole] = useState(false);
  const end = whole ? TEXT_MAX : TEXT_SHOWN;
  const shown = value.length <= end ? value : value.slice(0, end);
  return (
    <>
      <span className="wrap-anywhere text-good">{value.length <= end ? JSON.stringify(shown) : `${JSON.stringify(shown).slice(0, -1)} …`}</span>
      {value.length <= end ? null : value.length <= TEXT_MAX ? (
        <More words={`show all ${value.length} characters`} onClick={() => setWhole(true)} />
      ) : (
        <>
          {whole ? null : <More words={`show ${TEXT_MAX} of ${value.length} characters`} onClick={() => setWhole(true)} />}
          <More words={`save this text (${value.length} characters)`} onClick={() => saveText("text.txt", value, "text/plain")} />
        </>
      )}
    </>
  );
}

function More({ words, onClick }: { words: string; onClick: () => void }) {
  return (
    <button type="button" onClick={onClick} className="mr-3 ml-1 font-sans text-xs text-accent underline">
      {words}
    </button>
  );
}

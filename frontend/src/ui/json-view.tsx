// JSON for people: folded below the second level, copied with a button, and bounded, since an args of megabytes is legal.

import { useState } from "react";
import { IconButton } from "./button.tsx";

/** Above this it is text, cut. */
const TEXT_MAX = 200_000;
const ENTRIES_MAX = 200;
const OPEN_DEPTH = 2;

export function JsonView({ value, label }: { value: unknown; label: string }) {
  const text = JSON.stringify(value, null, 2) ?? "null";
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    void navigator.clipboard?.writeText(text).then(() => setCopied(true));
  };
  return (
    <section aria-label={label} className="relative min-w-0 rounded-md border border-line bg-surface">
      <IconButton icon="copy" label={copied ? "Copied" : `Copy ${label}`} onClick={copy} className="absolute top-1 right-1" />
      <div tabIndex={0} role="group" aria-label={`${label} as JSON`} className="max-h-96 overflow-auto p-3 pr-10 font-mono text-sm leading-relaxed">
        {text.length > TEXT_MAX ? (
          <pre className="whitespace-pre-wrap break-words">{`${text.slice(0, TEXT_MAX)}\n… ${text.length - TEXT_MAX} more characters`}</pre>
        ) : (
          <Node value={value} depth={0} />
        )}
      </div>
    </section>
  );
}

function Node({ name, value, depth }: { name?: string; value: unknown; depth: number }) {
  const key = name === undefined ? null : <span className="text-muted">{name}: </span>;
  if (typeof value !== "object" || value === null) {
    return (
      <div className="break-words whitespace-pre-wrap">
        {key}
        <Leaf value={value} />
      </div>
    );
  }
  const entries = Object.entries(value);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) {
    return (
      <div>
        {key}
        {open}
        {close}
      </div>
    );
  }
  return (
    <details open={depth < OPEN_DEPTH}>
      <summary className="list-inside rounded hover:bg-hover">
        {key}
        <span className="text-muted">
          {open} {entries.length} {close}
        </span>
      </summary>
      <div className="ml-1.5 border-l border-line pl-3">
        {entries.slice(0, ENTRIES_MAX).map(([field, one]) => (
          <Node key={field} name={field} value={one} depth={depth + 1} />
        ))}
        {entries.length > ENTRIES_MAX ? <div className="text-muted">… {entries.length - ENTRIES_MAX} more</div> : null}
      </div>
    </details>
  );
}

function Leaf({ value }: { value: unknown }) {
  if (typeof value === "string") return <span className="text-good">{JSON.stringify(value)}</span>;
  if (typeof value === "number") return <span className="text-running">{String(value)}</span>;
  return <span className="text-later">{String(value)}</span>;
}

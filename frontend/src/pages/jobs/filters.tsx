// What narrows the list beside the state: a text, kind and queue, and chips for what an address may name besides.

import { useEffect, useRef, useState } from "react";
import type { StatsBody } from "../../api/types.gen.ts";
import type { JobsSearch } from "../../app/search.ts";
import { useShortcut } from "../../app/shortcuts.ts";
import { CONTROL, Icon } from "../../ui/index.ts";

/** After this rest what was typed goes into the address. */
const REST_MS = 250;

interface Props {
  readonly search: JobsSearch;
  readonly stats: StatsBody | undefined;
  readonly onChange: (patch: Partial<JobsSearch>) => void;
}

export function Filters({ search, stats, onChange }: Props) {
  return (
    <>
      {search.tag === undefined ? null : (
        <button
          type="button"
          aria-label={`Remove the filter: tag ${search.tag}`}
          onClick={() => onChange({ tag: undefined })}
          className="inline-flex h-8 items-center gap-1 rounded-md border border-line bg-chosen px-2 text-sm"
        >
          #{search.tag}
          <Icon name="close" size={12} />
        </button>
      )}
      <Choice label="Kind" value={search.kind} options={stats?.kinds.map(({ kind }) => kind)} onChange={(kind) => onChange({ kind })} />
      <Choice label="Queue" value={search.queue} options={stats?.queues.map(({ queue }) => queue)} onChange={(queue) => onChange({ queue })} />
      <TextFilter value={search.q ?? ""} onChange={(q) => onChange({ q: q === "" ? undefined : q })} />
    </>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string | undefined;
  readonly options: readonly string[] | undefined;
  readonly onChange: (value: string | undefined) => void;
}

function Choice({ label, value, options = [], onChange }: ChoiceProps) {
  const all = value === undefined || options.includes(value) ? options : [...options, value];
  return (
    <select
      aria-label={label}
      value={value ?? ""}
      onChange={(event) => onChange(event.target.value === "" ? undefined : event.target.value)}
      className={`${CONTROL} w-auto max-w-28 ${value === undefined ? "text-muted" : ""}`}
    >
      <option value="">Any {label.toLowerCase()}</option>
      {all.toSorted().map((one) => (
        <option key={one}>{one}</option>
      ))}
    </select>
  );
}

function TextFilter({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(value);
  const input = useRef<HTMLInputElement>(null);
  const told = useRef(value);
  useShortcut("/", "Search", "Jobs", () => input.current?.focus());
  useEffect(() => {
    // The address changed by another hand: going back, or clearing all filters.
    if (value !== told.current) {
      told.current = value;
      setText(value);
      return;
    }
    if (text.trim() === value) return;
    const timer = setTimeout(() => {
      told.current = text.trim();
      onChange(text.trim());
    }, REST_MS);
    return () => clearTimeout(timer);
  }, [text, value, onChange]);
  return (
    <span className="relative min-w-24 max-sm:flex-1 sm:w-44">
      <Icon name="search" className="pointer-events-none absolute top-2 left-2 text-muted" />
      <input
        ref={input}
        type="search"
        aria-label="Search in id, kind, tags, error and arguments"
        placeholder="Search"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.currentTarget.blur();
        }}
        className={`${CONTROL} pl-7.5`}
      />
    </span>
  );
}

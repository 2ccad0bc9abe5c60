// What narrows the list beside the state: a text, kind, queue and tag. What is set is a chip that takes itself away.

import { lazy, Suspense, useEffect, useId, useRef, useState, type Ref } from "react";
import type { JobsSearch } from "../../app/search.ts";
import { useShortcut } from "../../app/shortcuts.ts";
import type { StatsBody } from "../../api/types.gen.ts";
import { Button, CONTROL, Icon } from "../../ui/index.ts";
import type { KnownNames } from "./names.tsx";

/** After this rest what was typed goes into the address. */
const REST_MS = 250;
const SAME_KEY_MS = 300;

/** Asked for when somebody is about to choose, with what it takes to ask. */
const Names = lazy(() => import("./names.tsx"));

interface Props {
  readonly search: JobsSearch;
  readonly stats: StatsBody | undefined;
  readonly onChange: (patch: Partial<JobsSearch>) => void;
}

const NO_NAMES: KnownNames = { kinds: [], queues: [] };

export const NO_FILTER = { state: undefined, kind: undefined, queue: undefined, tag: undefined, q: undefined } satisfies Partial<JobsSearch>;

export function isFiltered({ state, kind, queue, tag, q }: JobsSearch): boolean {
  return [state, kind, queue, tag, q].some((one) => one !== undefined);
}

export function Filters({ search, stats, onChange }: Props) {
  const [chooses, setChooses] = useState(false);
  const [{ kinds, queues }, setNames] = useState(NO_NAMES);
  // Kinds that nobody listed have jobs all the same.
  const used = { kinds: stats?.kinds.map(({ kind }) => kind) ?? [], queues: stats?.queues.map(({ queue }) => queue) ?? [] };
  return (
    <div role="search" aria-label="Jobs" onFocus={() => setChooses(true)} className="flex shrink-0 flex-wrap items-center gap-2 border-b border-line px-3 py-2 sm:px-4">
      <TextFilter value={search.q ?? ""} onChange={(q) => onChange({ q: q === "" ? undefined : q })} />
      <NameFilter label="Kind" value={search.kind} names={[...kinds, ...used.kinds]} onChange={(kind) => onChange({ kind })} />
      <NameFilter label="Queue" value={search.queue} names={[...queues, ...used.queues]} onChange={(queue) => onChange({ queue })} />
      <NameFilter label="Tag" value={search.tag} names={[]} onChange={(tag) => onChange({ tag })} />
      {chooses ? (
        <Suspense fallback={null}>
          <Names onNames={setNames} />
        </Suspense>
      ) : null}
      {isFiltered(search) ? (
        <Button look="quiet" onClick={() => onChange(NO_FILTER)}>
          Clear filters
        </Button>
      ) : null}
    </div>
  );
}

interface NameProps {
  readonly label: string;
  readonly value: string | undefined;
  /** Suggested; any other may be typed. */
  readonly names: readonly string[];
  readonly onChange: (value: string | undefined) => void;
}

function NameFilter({ label, value, names, onChange }: NameProps) {
  const [text, setText] = useState("");
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const chip = useRef<HTMLButtonElement>(null);
  const moved = useRef(false);
  const setAt = useRef(-SAME_KEY_MS);
  // The focus stays at this place, whichever of the two stands there.
  useEffect(() => {
    if (moved.current) (value === undefined ? input : chip).current?.focus();
    moved.current = false;
  }, [value]);
  const set = (next: string | undefined): void => {
    if (next === "") return;
    moved.current = document.activeElement === input.current || document.activeElement === chip.current;
    setAt.current = performance.now();
    setText("");
    onChange(next);
  };
  if (value !== undefined) {
    // The Enter that picked from the browser's list may come once more, on the chip that has the focus by then.
    const remove = (byKey: boolean): void => (byKey && performance.now() - setAt.current < SAME_KEY_MS ? undefined : set(undefined));
    return <FilterChip ref={chip} label={label} value={value} onRemove={remove} />;
  }
  const options = [...new Set(names)].sort();
  return (
    <span className="w-28 min-w-20 max-sm:flex-1">
      <input
        ref={input}
        list={id}
        aria-label={label}
        placeholder={label}
        value={text}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => {
          // Picked from the list, not typed letter by letter.
          const native = event.nativeEvent as InputEvent;
          const picked = native.inputType === undefined || native.inputType === "insertReplacementText";
          if (picked && options.includes(event.target.value)) set(event.target.value);
          else setText(event.target.value);
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") set(text.trim());
          else if (event.key === "Escape") (setText(""), event.currentTarget.blur());
        }}
        onBlur={() => {
          if (options.includes(text.trim())) set(text.trim());
        }}
        className={CONTROL}
      />
      <datalist id={id}>
        {options.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </span>
  );
}

interface ChipProps {
  readonly ref: Ref<HTMLButtonElement>;
  readonly label: string;
  readonly value: string;
  readonly onRemove: (byKey: boolean) => void;
}

function FilterChip({ ref, label, value, onRemove }: ChipProps) {
  return (
    <button
      ref={ref}
      type="button"
      onClick={(event) => onRemove(event.detail === 0)}
      className="inline-flex h-8 max-w-60 items-center gap-1.5 rounded-md border border-line bg-chosen px-2 text-sm"
    >
      <span className="sr-only">Remove the filter: </span>
      <span className="text-muted">{label} </span>
      <span className="truncate font-medium">{value}</span>
      <Icon name="close" size={12} />
    </button>
  );
}

function TextFilter({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(value);
  const input = useRef<HTMLInputElement>(null);
  const told = useRef(value);
  useShortcut("/", "Search", "Jobs", () => input.current?.select());
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
    <span className="relative min-w-24 max-sm:w-full sm:w-72">
      <Icon name="search" className="pointer-events-none absolute top-2 left-2 text-muted" />
      <input
        ref={input}
        type="search"
        aria-label="Search in id, kind, tags, error and arguments"
        placeholder="Search id, kind, tags, error, args"
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

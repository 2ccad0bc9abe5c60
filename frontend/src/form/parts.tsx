// What all controls of a form share: how they are told of errors, and one that shows any value as JSON.

import { createContext, useContext, useMemo, useState } from "react";
import { Button, CONTROL, Field, size } from "../ui/index.ts";
import type { Field as FieldShape } from "./schema.ts";
import { isList, isRecord, readJson, showJson, weight, type Draft } from "./values.ts";

export interface Surroundings {
  /** What is wrong, by pointer. */
  readonly errors: ReadonlyMap<string, readonly string[]>;
  /** Somebody was in this field. */
  readonly touched: (pointer: string) => void;
  /** Bytes of base64 that fit into all files together. */
  readonly fileBytesMax: number;
}

export const SurroundingsContext = createContext<Surroundings>({ errors: new Map(), touched: () => {}, fileBytesMax: 0 });

export function useErrors(pointer: string): readonly string[] {
  return useContext(SurroundingsContext).errors.get(pointer) ?? [];
}

export function useTouched(pointer: string): () => void {
  const { touched } = useContext(SurroundingsContext);
  return () => touched(pointer);
}

/** The control's id in the page: what a summary of errors links to. */
export const idOf = (pointer: string): string => `field${pointer}`;

export interface ControlProps<F extends FieldShape = FieldShape> {
  readonly field: F;
  readonly value: Draft;
  readonly pointer: string;
  readonly onChange: (value: Draft) => void;
}

/** What an empty control means. */
export function emptyOf(field: FieldShape): Draft {
  if (field.initial === "") return "";
  return field.nullable && (field.required || field.initial !== undefined) ? null : undefined;
}

export function hintOf(field: FieldShape, value: Draft, more = ""): string | undefined {
  const left = value === undefined && field.initial !== undefined && field.initial !== "" ? `Left empty, it becomes ${JSON.stringify(field.initial)}.` : "";
  const parts = [field.description ?? "", more, left].filter((one) => one !== "");
  return parts.length === 0 ? undefined : parts.join(" ");
}

/** Keeps what is typed as it is typed, as long as it means the value. */
export function useTyped(value: Draft, show: (value: Draft) => string, parse: (text: string) => Draft): readonly [string, (text: string) => Draft] {
  const [typed, setTyped] = useState<{ readonly text: string; readonly value: Draft } | null>(null);
  const fits = typed !== null && Object.is(typed.value, value);
  // Where much was typed, showing it again is dear. What `show` does depends on nothing else.
  const shown = useMemo(() => (fits ? "" : show(value)), [fits, value]);
  const take = (text: string): Draft => {
    const next = parse(text);
    setTyped({ text, value: next });
    return next;
  };
  return [fits ? typed.text : shown, take];
}

/** More characters of JSON than somebody edits by hand: a box with them would make each key slow. */
const FOLDED_FROM = 100_000;
const ROWS = { min: 3, max: 16 };

function rowsOf(text: string): number {
  let rows = 1;
  for (let at = text.indexOf("\n"); at >= 0 && rows < ROWS.max; at = text.indexOf("\n", at + 1)) rows += 1;
  return Math.max(ROWS.min, rows);
}

export function JsonControl(props: ControlProps) {
  const { field, value, pointer } = props;
  const characters = useMemo(() => weight(value), [value]);
  const [large] = useState(characters > FOLDED_FROM);
  const [open, setOpen] = useState(!large);
  const errors = useErrors(pointer);
  if (open) return <JsonText {...props} />;
  const count = isList(value) ? `${value.length.toLocaleString("en")} elements, ` : isRecord(value) ? `${Object.keys(value).length.toLocaleString("en")} members, ` : "";
  return (
    <Field id={idOf(pointer)} label={field.title || "Arguments"} hint={field.description} errors={errors} required={field.required}>
      {(control) => (
        <div className="flex flex-wrap items-center gap-3 text-sm">
          {count}about {size(characters)} of JSON, sent as it is
          <Button id={control.id} aria-describedby={control["aria-describedby"]} aria-label={`Edit it as text: ${field.title || "Arguments"}`} onClick={() => setOpen(true)}>
            Edit it as text
          </Button>
        </div>
      )}
    </Field>
  );
}

function JsonText({ field, value, pointer, onChange }: ControlProps) {
  const [text, take] = useTyped(value, showJson, readJson);
  const touched = useTouched(pointer);
  return (
    <Field id={idOf(pointer)} label={field.title || "Arguments"} hint={hintOf(field, value, "As JSON.")} errors={useErrors(pointer)} required={field.required}>
      {(control) => (
        <textarea
          {...control}
          required={false}
          rows={rowsOf(text)}
          spellCheck={false}
          value={text}
          onChange={(event) => onChange(take(event.target.value))}
          onBlur={touched}
          className={`${CONTROL} h-auto resize-y py-1.5 font-mono text-sm`}
        />
      )}
    </Field>
  );
}

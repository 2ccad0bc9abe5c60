// What all controls of a form share: how they are told of errors, and one that shows any value as JSON.

import { createContext, useContext, useState } from "react";
import { CONTROL, Field } from "../ui/index.ts";
import type { Field as FieldShape } from "./schema.ts";
import { readJson, showJson, type Draft } from "./values.ts";

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
  const [typed, setTyped] = useState<string | null>(null);
  const shown = show(value);
  const fits = typed !== null && show(parse(typed)) === shown;
  const take = (text: string): Draft => {
    setTyped(text);
    return parse(text);
  };
  return [fits ? typed : shown, take];
}

export function JsonControl({ field, value, pointer, onChange }: ControlProps) {
  const [text, take] = useTyped(value, showJson, readJson);
  const touched = useTouched(pointer);
  return (
    <Field id={idOf(pointer)} label={field.title || "Arguments"} hint={hintOf(field, value, "As JSON.")} errors={useErrors(pointer)} required={field.required}>
      {(control) => (
        <textarea
          {...control}
          required={false}
          rows={Math.min(16, Math.max(3, text.split("\n").length))}
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

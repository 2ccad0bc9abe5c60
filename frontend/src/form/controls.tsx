// One control for each type of a single value.

import { isExact } from "../api/exact.ts";
import { CONTROL, Field } from "../ui/index.ts";
import { emptyOf, hintOf, idOf, useErrors, useTouched, useTyped, type ControlProps } from "./parts.tsx";
import type { BooleanField, ChoiceField, ConstField, NumberField, TextField } from "./schema.ts";
import { fromLocal, readNumber, toLocal, Unread, type Draft } from "./values.ts";

const INPUTS = { "date-time": "datetime-local", date: "date", time: "text", email: "email", uri: "url" } as const;

export function TextControl({ field, value, pointer, onChange }: ControlProps<TextField>) {
  const touched = useTouched(pointer);
  const moment = field.format === "date-time";
  const text = typeof value !== "string" ? "" : moment ? toLocal(value) : value;
  const change = (next: string): void => onChange(next === "" ? emptyOf(field) : moment ? fromLocal(next) : next);
  const length = field.maxLength !== undefined && field.long ? `${text.length.toLocaleString("en")} of ${field.maxLength.toLocaleString("en")} characters.` : "";
  const hint = hintOf(field, value, moment ? "In your time zone." : length);
  const shared = { value: text, onBlur: touched, spellCheck: field.long };
  return (
    <Field id={idOf(pointer)} label={field.title} hint={hint} errors={useErrors(pointer)} required={field.required}>
      {(control) =>
        field.long ? (
          <textarea {...control} {...shared} required={false} rows={3} onChange={(event) => change(event.target.value)} className={`${CONTROL} h-auto resize-y py-1.5`} />
        ) : (
          <input
            {...control}
            {...shared}
            required={false}
            aria-required={field.required}
            type={field.format === null ? "text" : INPUTS[field.format]}
            {...(moment ? { step: 1 } : {})}
            onChange={(event) => change(event.target.value)}
            className={CONTROL}
          />
        )
      }
    </Field>
  );
}

function boundsOf({ minimum, maximum }: NumberField): string {
  const show = (value: number): string => (Number.isInteger(value) && Math.abs(value) < 1e15 ? value.toLocaleString("en") : String(value));
  if (minimum !== undefined && maximum !== undefined) return `${show(minimum)} to ${show(maximum)}.`;
  if (minimum !== undefined) return `${show(minimum)} or more.`;
  return maximum === undefined ? "" : `At most ${show(maximum)}.`;
}

export function NumberControl({ field, value, pointer, onChange }: ControlProps<NumberField>) {
  const touched = useTouched(pointer);
  const show = (one: Draft): string => (one instanceof Unread ? one.text : isExact(one) ? one.rawJSON : typeof one === "number" ? String(one) : "");
  const parse = (text: string): Draft => (text.trim() === "" ? emptyOf(field) : readNumber(text, field.integer));
  const [text, take] = useTyped(value, show, parse);
  return (
    <Field id={idOf(pointer)} label={field.title} hint={hintOf(field, value, boundsOf(field))} errors={useErrors(pointer)} required={field.required}>
      {(control) => (
        // Not of type number: that one hides what it cannot read.
        <input
          {...control}
          required={false}
          aria-required={field.required}
          inputMode={field.integer ? "numeric" : "decimal"}
          autoComplete="off"
          value={text}
          onChange={(event) => onChange(take(event.target.value))}
          onBlur={touched}
          className={`${CONTROL} max-w-48`}
        />
      )}
    </Field>
  );
}

export function BooleanControl({ field, value, pointer, onChange }: ControlProps<BooleanField>) {
  const errors = useErrors(pointer);
  const hint = hintOf(field, value);
  if (typeof value !== "boolean" || field.nullable || (!field.required && field.initial === undefined)) {
    const options = [true, false].map((one) => ({ value: one, label: one ? "yes" : "no" }));
    return <ChoiceControl field={{ ...field, type: "choice", options }} value={value} pointer={pointer} onChange={onChange} />;
  }
  return (
    <Field id={idOf(pointer)} label={field.title} hint={hint} errors={errors} beside>
      {(control) => <input {...control} type="checkbox" checked={value} onChange={(event) => onChange(event.target.checked)} className="size-4 accent-(--accent)" />}
    </Field>
  );
}

export function ChoiceControl({ field, value, pointer, onChange }: ControlProps<ChoiceField>) {
  const touched = useTouched(pointer);
  // Null is a choice where leaving the field out means something else.
  const none = field.nullable && (field.required || field.initial !== undefined) && !field.options.some((one) => one.value === null);
  const options = none ? [{ value: null, label: "none" }, ...field.options] : field.options;
  const chosen = options.findIndex((one) => JSON.stringify(one.value) === JSON.stringify(value));
  const unset = chosen < 0 || !field.required;
  return (
    <Field id={idOf(pointer)} label={field.title} hint={hintOf(field, value)} errors={useErrors(pointer)} required={field.required}>
      {(control) => (
        <select
          {...control}
          required={false}
          aria-required={field.required}
          value={chosen < 0 ? "" : String(chosen)}
          onChange={(event) => onChange(event.target.value === "" ? undefined : options[Number(event.target.value)]?.value)}
          onBlur={touched}
          className={`${CONTROL} w-auto max-w-full justify-self-start`}
        >
          {unset ? <option value="">{field.required ? "choose …" : "not set"}</option> : null}
          {options.map((one, at) => (
            <option key={at} value={at}>
              {one.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function ConstControl({ field, value, pointer, onChange }: ControlProps<ConstField>) {
  const shown = typeof field.value === "string" ? field.value : JSON.stringify(field.value);
  if (field.required) {
    return (
      <div id={idOf(pointer)} tabIndex={-1} className="text-sm">
        <span className="font-medium">{field.title}:</span> {shown}
      </div>
    );
  }
  return (
    <label className="flex w-max max-w-full items-center gap-2 text-sm font-medium">
      <input id={idOf(pointer)} type="checkbox" checked={value !== undefined} onChange={(event) => onChange(event.target.checked ? field.value : undefined)} className="size-4 accent-(--accent)" />
      {field.title}: {shown}
    </label>
  );
}

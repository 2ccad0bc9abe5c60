// The fields of a schema, one below the other. A value that does not fit its field, as an older job may have it, is shown
// as JSON instead of being lost.

import { useContext, useState, type ReactNode } from "react";
import { isExact } from "../api/exact.ts";
import { Button, IconButton } from "../ui/index.ts";
import { BooleanControl, ChoiceControl, ConstControl, NumberControl, TextControl } from "./controls.tsx";
import { Attached, FileControl, FilePicker, roomHint } from "./file.tsx";
import { idOf, JsonControl, SurroundingsContext, useErrors, type ControlProps } from "./parts.tsx";
import { own, type Field, type ListField, type ObjectField, type VariantField } from "./schema.ts";
import { below, blank, initial, isList, isRecord, set, Unread, withDefaults, type Draft } from "./values.ts";

/** Above this a list is JSON: nobody clicks through it. */
const ELEMENTS_MAX = 100;

function fits(field: Field, value: Draft): boolean {
  if (value === undefined || value === null) return value === undefined || field.nullable || field.type === "choice";
  switch (field.type) {
    case "object":
    case "variant":
      return isRecord(value);
    case "list":
      return isList(value) && value.length <= ELEMENTS_MAX;
    case "text":
    case "file":
      return typeof value === "string";
    case "number":
      return typeof value === "number" || isExact(value) || value instanceof Unread;
    case "boolean":
      return typeof value === "boolean";
    case "choice":
      return field.options.some((one) => JSON.stringify(one.value) === JSON.stringify(value));
    default:
      return true;
  }
}

export function FieldControl(props: ControlProps) {
  const { field, value } = props;
  if (!fits(field, value)) return <JsonControl {...props} />;
  switch (field.type) {
    case "object":
      return <ObjectControl {...props} field={field} />;
    case "text":
      return <TextControl {...props} field={field} />;
    case "number":
      return <NumberControl {...props} field={field} />;
    case "boolean":
      return <BooleanControl {...props} field={field} />;
    case "choice":
      return <ChoiceControl {...props} field={field} />;
    case "const":
      return <ConstControl {...props} field={field} />;
    case "file":
      return <FileControl {...props} field={field} />;
    case "list":
      return <ListControl {...props} field={field} />;
    case "variant":
      return <VariantControl {...props} field={field} />;
    default:
      return <JsonControl {...props} />;
  }
}

/** The fields of an object without a frame: the top of a form. */
export function Fields({ field, value, pointer, onChange, without }: ControlProps<ObjectField> & { without?: string }) {
  const record = isRecord(value) ? value : {};
  return field.fields
    .filter(([name]) => name !== without)
    .map(([name, one]) => (
      <FieldControl key={name} field={one} value={own(record, name)} pointer={below(pointer, name)} onChange={(next) => onChange(set(value, name, next))} />
    ));
}

function Frame({ field, pointer, children }: { field: Field; pointer: string; children: ReactNode }) {
  const errors = useErrors(pointer);
  return (
    <fieldset id={idOf(pointer)} tabIndex={-1} className="grid min-w-0 gap-3 rounded-md border border-line p-3">
      <legend className="px-1 text-sm font-medium">
        {field.title}
        {field.required ? <span className="text-muted"> (required)</span> : null}
      </legend>
      {field.description === undefined ? null : <p className="-mt-2 text-xs text-muted">{field.description}</p>}
      {children}
      {errors.map((error) => (
        <p key={error} className="text-xs text-bad">
          {error}
        </p>
      ))}
    </fieldset>
  );
}

function ObjectControl(props: ControlProps<ObjectField>) {
  const { field, value, pointer, onChange } = props;
  const there = isRecord(value);
  return (
    <Frame field={field} pointer={pointer}>
      {there ? <Fields {...props} /> : null}
      {there && field.required && !field.nullable ? null : (
        <Button icon={there ? "close" : "submit"} className="justify-self-start" onClick={() => onChange(there ? (field.nullable && field.required ? null : undefined) : withDefaults(field, {}))}>
          {there ? "Leave out" : "Add"} {field.title}
        </Button>
      )}
    </Frame>
  );
}

function ListControl({ field, value, pointer, onChange }: ControlProps<ListField>) {
  const list = isList(value) ? value : [];
  const full = field.maxItems !== undefined && list.length >= field.maxItems;
  const put = (next: readonly Draft[]): void => onChange(next.length === 0 && !field.required ? undefined : next);
  const name = (at: number): string => `${field.title || "Element"} ${at + 1}`;
  if (field.element.type === "file") return <FileList field={field} list={list} pointer={pointer} put={put} name={name} />;
  return (
    <Frame field={field} pointer={pointer}>
      {list.map((one, at) => (
        // Elements have no name but their place.
        <div key={at} className="flex items-start gap-2">
          <div className="min-w-0 flex-1">
            <FieldControl
              // Each is there, so it need not be said.
              field={{ ...field.element, title: field.element.title === "" ? name(at) : `${field.element.title} ${at + 1}`, required: false }}
              value={one}
              pointer={below(pointer, at)}
              onChange={(next) => put(list.map((old, index) => (index === at ? (next ?? blank(field.element)) : old)))}
            />
          </div>
          <IconButton icon="close" label={`Remove ${name(at)}`} onClick={() => put(list.filter((_, index) => index !== at))} className="mt-6" />
        </div>
      ))}
      <Button icon="submit" disabled={full} onClick={() => put([...list, initial(field.element) ?? blank(field.element)])} className="justify-self-start">
        Add {field.title || "an element"}
      </Button>
    </Frame>
  );
}

interface FileListProps {
  readonly field: ListField;
  readonly list: readonly Draft[];
  readonly pointer: string;
  readonly put: (next: readonly Draft[]) => void;
  readonly name: (at: number) => string;
}

function FileList({ field, list, pointer, put, name }: FileListProps) {
  const { fileBytesMax } = useContext(SurroundingsContext);
  const [problem, setProblem] = useState<string | null>(null);
  const media = field.element.type === "file" ? field.element.media : undefined;
  return (
    <Frame field={field} pointer={pointer}>
      <div className="flex flex-wrap gap-2 empty:hidden">
        {list.map((one, at) => (
          <Attached key={at} value={typeof one === "string" ? one : ""} label={name(at)} onRemove={() => put(list.filter((_, index) => index !== at))} />
        ))}
      </div>
      <FilePicker id={`${idOf(pointer)}/add`} label={`Add to ${field.title}`} media={media} several onFiles={(files) => put([...list, ...files])} onProblem={setProblem} />
      <p className={`text-xs ${problem === null ? "text-muted" : "text-bad"}`}>{problem ?? roomHint(fileBytesMax)}</p>
    </Frame>
  );
}

function VariantControl({ field, value, pointer, onChange }: ControlProps<VariantField>) {
  const tag = isRecord(value) ? own(value, field.tag) : undefined;
  const chosen = field.variants.find((one) => JSON.stringify(one.value) === JSON.stringify(tag));
  const options = field.variants.map((one) => ({ value: one.value, label: one.label }));
  const choose = (next: Draft): void => {
    const variant = field.variants.find((one) => one.value === next);
    onChange(variant === undefined ? (next ?? undefined) : set(withDefaults(variant.field, {}), field.tag, variant.value));
  };
  return (
    <Frame field={field} pointer={pointer}>
      <ChoiceControl field={{ ...field, type: "choice", title: "Which", description: undefined, initial: undefined, options }} value={tag} pointer={below(pointer, field.tag)} onChange={choose} />
      {chosen === undefined ? null : <Fields field={chosen.field} value={value} pointer={pointer} onChange={onChange} without={field.tag} />}
    </Frame>
  );
}

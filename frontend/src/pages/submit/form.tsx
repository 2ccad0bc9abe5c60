// The form of one kind: its args as fields or as JSON, what may be said besides, and the button.

import { useEffect, useMemo, useState, type KeyboardEvent } from "react";
import type { KindBody } from "../../api/types.gen.ts";
import { check } from "../../form/check.ts";
import { FieldControl, Fields } from "../../form/form.tsx";
import { idOf, JsonControl, SurroundingsContext } from "../../form/parts.tsx";
import { fieldOf, type Field } from "../../form/schema.ts";
import { initial, read, rounded, Unread, valueAt, weight, type Draft, type Fault } from "../../form/values.ts";
import { Button } from "../../ui/index.ts";
import { AdvancedPart } from "./advanced.tsx";
import { isPlain, roomOf, store, type Attempt, type Form } from "./draft.ts";
import { ErrorSummary } from "./errors.tsx";
import { useSend, type Trouble } from "./send.ts";
import { useTouches } from "./touched.ts";

const CHECK_MS = 250;
/** Of more characters only the server says what is wrong. */
const CHECKED_MAX = 300_000;

interface Props {
  readonly form: Form;
  readonly kind: KindBody | undefined;
  readonly attempt: Attempt | null;
  readonly onChange: (form: Form) => void;
}

/** What the browser finds wrong while one types. Of what was typed since it looked, it says nothing: a word that comes for
 *  a moment pushes away the button that one is about to press. */
function useHints(schema: Record<string, unknown> | null | undefined, args: Draft): { readonly hints: readonly Fault[]; readonly checked: boolean } {
  const [hints, setHints] = useState<{ readonly of: Draft; readonly faults: readonly Fault[] }>({ of: args, faults: [] });
  useEffect(() => {
    let over = false;
    const timer = setTimeout(() => {
      const found = read(args, "/args");
      if (schema == null || found.value === undefined || weight(args) > CHECKED_MAX) return setHints({ of: args, faults: found.faults });
      void check(schema, rounded(found.value)).then((faults) => {
        if (!over) setHints({ of: args, faults: [...found.faults, ...faults.map(({ pointer, message }) => ({ pointer: `/args${pointer}`, message }))] });
      });
    }, CHECK_MS);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [schema, args]);
  const same = ({ pointer }: Fault): boolean => valueAt(args, pointer.slice("/args".length)) === valueAt(hints.of, pointer.slice("/args".length));
  return { hints: hints.faults.filter(same), checked: hints.of === args };
}

/** An answer's errors hold as long as what they are about was not changed. */
function standing(trouble: Trouble | null, form: Form): readonly Fault[] {
  if (trouble === null) return [];
  const now = form as unknown as Draft;
  const then = trouble.form as unknown as Draft;
  const where = (pointer: string): string => (/^\/(args|kind)/.test(pointer) ? pointer : `/advanced${pointer.split("/").slice(0, 2).join("/")}`);
  return trouble.faults.filter(({ pointer }) => valueAt(now, where(pointer)) === valueAt(then, where(pointer)));
}

function byPointer(faults: readonly Fault[]): Map<string, readonly string[]> {
  const map = new Map<string, readonly string[]>();
  for (const { pointer, message } of faults) map.set(pointer, [...new Set([...(map.get(pointer) ?? []), message])]);
  return map;
}

export function JobForm({ form, kind, attempt: first, onChange }: Props) {
  const { send, busy, trouble, attempt } = useSend(form, first);
  const { touched, touch } = useTouches();
  const { hints, checked } = useHints(kind?.schema, form.args);
  const errors = standing(trouble, form);
  const told = new Set(errors.map(({ pointer }) => pointer));
  // The server's words first; ours only for fields that somebody was in, and where it has said nothing.
  const shown = byPointer([...errors, ...hints.filter(({ pointer }) => touched.has(pointer) && !told.has(pointer))]);
  useEffect(() => store(form, attempt.current), [form, attempt]);
  const fileBytesMax = useMemo(() => roomOf(form.args, kind?.schema), [form.args, kind?.schema]);
  const surroundings = { errors: shown, touched: touch, fileBytesMax };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void send();
  };
  return (
    <SurroundingsContext value={surroundings}>
      <form
        noValidate
        aria-label="Job"
        aria-busy={!checked}
        onKeyDown={onKeyDown}
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
        className="grid gap-4"
      >
        {trouble === null ? null : <ErrorSummary problem={trouble.problem} faults={errors.length > 0 || trouble.problem !== null ? errors : trouble.faults} lost={trouble.lost} />}
        <Args form={form} kind={kind} onChange={onChange} />
        <AdvancedPart advanced={form.advanced} kind={kind} open={!isPlain(form.advanced) || errors.some(({ pointer }) => !/^\/(args|kind)/.test(pointer))} onChange={(advanced) => onChange({ ...form, advanced })} />
        <div className="flex flex-wrap items-center gap-3">
          <Button type="submit" look="main" icon="submit" disabled={busy || form.kind.trim() === ""}>
            {busy ? "Submitting …" : "Submit job"}
          </Button>
          <Button look="quiet" onClick={() => onChange({ ...form, args: kind?.schema == null ? {} : initial(fieldOf(kind.schema)) })}>
            Defaults again
          </Button>
          <span className="text-xs text-muted max-sm:hidden">Ctrl and Enter submits from any field.</span>
        </div>
      </form>
    </SurroundingsContext>
  );
}

const WHOLE: Field = { type: "json", title: "Arguments", description: undefined, required: true, nullable: false, initial: undefined };

function Args({ form, kind, onChange }: Pick<Props, "form" | "kind" | "onChange">) {
  const field = useMemo(() => (kind?.schema == null ? null : fieldOf(kind.schema)), [kind?.schema]);
  const [raw, setRaw] = useState(false);
  const change = (args: Draft): void => onChange({ ...form, args });
  const unread = form.args instanceof Unread;
  const props = { value: form.args, pointer: "/args", onChange: change };
  if (field === null || field.type === "json") return <JsonControl {...props} field={{ ...WHOLE, description: kind === undefined ? "The configuration does not list this kind, so every object goes." : "Every object goes." }} />;
  return (
    <>
      <div className="flex items-start justify-between gap-3">
        <p className="text-sm text-muted">{field.description}</p>
        <Button look="quiet" aria-pressed={raw} disabled={raw && unread} onClick={() => setRaw(!raw)}>
          {raw ? "As fields" : "As JSON"}
        </Button>
      </div>
      {raw || unread ? (
        <JsonControl {...props} field={WHOLE} />
      ) : field.type === "object" ? (
        // Where one is led whose field is not here.
        <div id={idOf(props.pointer)} tabIndex={-1} className="grid gap-4">
          <Fields {...props} field={field} />
        </div>
      ) : (
        <FieldControl {...props} field={{ ...field, title: field.title || "Arguments" }} />
      )}
    </>
  );
}

// What a job may say besides its kind and args. Left empty, the kind says it.

import type { KindBody } from "../../api/types.gen.ts";
import { idOf, useErrors } from "../../form/parts.tsx";
import { CONTROL, Field } from "../../ui/index.ts";
import type { Advanced } from "./draft.ts";

interface Props {
  readonly advanced: Advanced;
  readonly kind: KindBody | undefined;
  readonly open: boolean;
  readonly onChange: (advanced: Advanced) => void;
}

type Name = Exclude<keyof Advanced, "when">;

export function AdvancedPart({ advanced, kind, open, onChange }: Props) {
  const settings = kind?.settings;
  const text = (name: Name, label: string, hint: string, rest: object = {}) => (
    <AdvancedText name={name} label={label} hint={hint} value={advanced[name]} onChange={(value) => onChange({ ...advanced, [name]: value })} {...rest} />
  );
  return (
    <details open={open} className="rounded-md border border-line">
      <summary className="rounded-md px-3 py-2 text-sm font-medium hover:bg-hover">Queue, priority, time and more</summary>
      <div className="grid gap-4 border-t border-line p-3 sm:grid-cols-2">
        {text("queue", "Queue", `Where it waits; else ${settings?.queue ?? "default"}.`)}
        {text("priority", "Priority", "−100 to 100; higher is sooner, else 0.", { inputMode: "numeric" })}
        {text("tags", "Tags", "With commas between.")}
        {text("max_attempts", "Attempts", `Tries before it has failed; else ${settings?.max_attempts ?? 2}.`, { inputMode: "numeric" })}
        {text("timeout_s", "Time limit", `Seconds that one try may run; else ${settings?.timeout_s ?? "no limit"}.`, { inputMode: "decimal" })}
        {text("unique_key", "Unique key", "No second active job of the kind has it.")}
        <When advanced={advanced} onChange={onChange} />
        {text("depends_on", "Waits for", "Ids of jobs that must complete first, with commas between.", { wide: true })}
      </div>
    </details>
  );
}

interface TextProps {
  readonly name: Name;
  readonly label: string;
  readonly hint: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly inputMode?: "numeric" | "decimal";
  readonly type?: string;
  readonly wide?: boolean;
}

function AdvancedText({ name, label, hint, value, onChange, inputMode, type = "text", wide = false }: TextProps) {
  const own = useErrors(`/${name}`);
  // Of lists, each entry has a pointer of its own, and all stand in this one control.
  const entries = [...useErrors(`/${name}/0`), ...useErrors(`/${name}/1`), ...useErrors(`/${name}/2`)];
  return (
    <div className={wide ? "sm:col-span-2" : ""}>
      <Field id={idOf(`/${name}`)} label={label} hint={hint} errors={[...own, ...entries]}>
        {(control) => (
          <input
            {...control}
            type={type}
            {...(inputMode === undefined ? {} : { inputMode })}
            {...(type === "datetime-local" ? { step: 1 } : {})}
            value={value}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => onChange(event.target.value)}
            className={CONTROL}
          />
        )}
      </Field>
    </div>
  );
}

function When({ advanced, onChange }: Pick<Props, "advanced" | "onChange">) {
  return (
    <>
      <Field label="Starts">
        {(control) => (
          <select {...control} value={advanced.when} onChange={(event) => onChange({ ...advanced, when: event.target.value as Advanced["when"] })} className={CONTROL}>
            <option value="now">as soon as it can</option>
            <option value="delay">after some seconds</option>
            <option value="at">at a moment</option>
          </select>
        )}
      </Field>
      {advanced.when === "delay" ? (
        <AdvancedText name="delay_s" label="Delay" hint="Seconds from now." value={advanced.delay_s} onChange={(delay_s) => onChange({ ...advanced, delay_s })} inputMode="decimal" />
      ) : advanced.when === "at" ? (
        <AdvancedText name="scheduled_at" label="Moment" hint="In your time zone." type="datetime-local" value={advanced.scheduled_at} onChange={(scheduled_at) => onChange({ ...advanced, scheduled_at })} />
      ) : (
        <span className="max-sm:hidden" />
      )}
    </>
  );
}

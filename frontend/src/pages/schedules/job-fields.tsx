// The job that a schedule submits: its kind and args, or the whole of it as JSON.

import { listKinds } from "../../api/index.ts";
import { useApi } from "../../hooks/index.ts";
import { Button, CONTROL, Field, type ControlProps } from "../../ui/index.ts";
import { losesOnTurn, turned } from "./draft.ts";
import type { FieldsProps } from "./schedule-form.tsx";

export function JobFields({ draft, faults, change }: FieldsProps) {
  const stuck = losesOnTurn(draft);
  return (
    <fieldset className="grid min-w-0 gap-3 border-t border-line pt-3">
      <legend className="sr-only">Job</legend>
      {draft.whole ? (
        <Field label="Job" required hint="What POST /api/jobs takes, without scheduled_at" {...(faults.job === undefined ? {} : { errors: faults.job })}>
          {(control) => <JsonText control={control} value={draft.job} rows={9} onChange={(job) => change({ job })} />}
        </Field>
      ) : (
        <>
          <Kind draft={draft} faults={faults} change={change} />
          <Field label="Args" hint="A JSON object" {...(faults.args === undefined ? {} : { errors: faults.args })}>
            {(control) => <JsonText control={control} value={draft.args} rows={4} onChange={(args) => change({ args })} />}
          </Field>
        </>
      )}
      <div className="flex flex-wrap items-center gap-2">
        <Button look="quiet" disabled={stuck} onClick={() => change(turned(draft))} className="-ml-2.5">
          {draft.whole ? "Write kind and args only" : "Write the whole job as JSON"}
        </Button>
        {stuck ? <span className="text-xs text-muted">{draft.whole ? "Not while it says more than kind and args." : "Not while the args are no JSON."}</span> : null}
      </div>
    </fieldset>
  );
}

function Kind({ draft, faults, change }: FieldsProps) {
  const { data } = useApi(["kinds"], (api, options) => listKinds(api, {}, options));
  return (
    <Field label="Kind" required {...(faults.kind === undefined ? {} : { errors: faults.kind })}>
      {(control) => (
        <>
          <input {...control} value={draft.kind} list="kinds" autoComplete="off" onChange={(event) => change({ kind: event.target.value })} className={CONTROL} />
          <datalist id="kinds">
            {data?.kinds.map(({ name }) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </>
      )}
    </Field>
  );
}

function JsonText({ control, value, rows, onChange }: { control: ControlProps; value: string; rows: number; onChange: (value: string) => void }) {
  return (
    <textarea
      {...control}
      value={value}
      rows={rows}
      spellCheck={false}
      autoComplete="off"
      onChange={(event) => onChange(event.target.value)}
      className={`${CONTROL} h-auto resize-y py-1.5 font-mono text-sm`}
    />
  );
}

// The name of a schedule, when it comes, and what becomes of times that it cannot keep.

import type { Missed, Overlap } from "../../api/types.gen.ts";
import { CONTROL, Field } from "../../ui/index.ts";
import { cronWords } from "./cron.ts";
import type { FieldsProps } from "./schedule-form.tsx";

const ZONES: readonly string[] = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];

const MISSED: readonly (readonly [Missed, string])[] = [
  ["once", "Make one job for all of them"],
  ["all", "Make a job for each"],
  ["skip", "Make none"],
];
const OVERLAP: readonly (readonly [Overlap, string])[] = [
  ["queue", "Make another all the same"],
  ["skip", "Make none this time"],
  ["replace", "Cancel it, and make another"],
];

export function TimeFields({ draft, faults, change, named }: FieldsProps & { named: boolean }) {
  return (
    <>
      <Field label="Name" required={!named} {...(faults.name === undefined ? {} : { errors: faults.name })}>
        {(control) => <input {...control} value={draft.name} disabled={named} autoComplete="off" onChange={(event) => change({ name: event.target.value })} className={CONTROL} />}
      </Field>
      <div className="grid items-start gap-3 sm:grid-cols-2">
        <Field label="Cron" required hint={cronWords(draft.cron) ?? "Minute, hour, day, month, weekday; or @daily"} {...(faults.cron === undefined ? {} : { errors: faults.cron })}>
          {(control) => (
            <input {...control} value={draft.cron} placeholder="30 2 * * MON-FRI" autoComplete="off" onChange={(event) => change({ cron: event.target.value })} className={`${CONTROL} font-mono`} />
          )}
        </Field>
        <Field label="Time zone" hint="In which the fields are read" {...(faults.time_zone === undefined ? {} : { errors: faults.time_zone })}>
          {(control) => (
            <>
              <input {...control} value={draft.time_zone} list="time-zones" autoComplete="off" onChange={(event) => change({ time_zone: event.target.value })} className={CONTROL} />
              <datalist id="time-zones">
                {ZONES.map((zone) => (
                  <option key={zone} value={zone} />
                ))}
              </datalist>
            </>
          )}
        </Field>
        <Field label="Times that were missed" hint="Because the server was down" {...(faults.missed === undefined ? {} : { errors: faults.missed })}>
          {(control) => (
            <select {...control} value={draft.missed} onChange={(event) => change({ missed: event.target.value as Missed })} className={CONTROL}>
              {MISSED.map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="If the job before still runs" hint="When the next time comes" {...(faults.overlap === undefined ? {} : { errors: faults.overlap })}>
          {(control) => (
            <select {...control} value={draft.overlap} onChange={(event) => change({ overlap: event.target.value as Overlap })} className={CONTROL}>
              {OVERLAP.map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
    </>
  );
}

// The form of a schedule. The server judges it; what it finds comes to its field, and the first wrong one gets the focus.

import { useEffect, useRef, useState, type FormEvent } from "react";
import { ApiProblem, createSchedule, putSchedule } from "../../api/index.ts";
import type { ScheduleRow } from "../../api/types.gen.ts";
import { useWorld } from "../../hooks/index.ts";
import { Button, Dialog, wordsOf } from "../../ui/index.ts";
import { draftOf, faultsOf, requestOf, type Draft, type Faults } from "./draft.ts";
import { JobFields } from "./job-fields.tsx";
import { TimeFields } from "./time-fields.tsx";

const FORM_ID = "schedule-form";

interface Props {
  /** Null: a new one. */
  readonly row: ScheduleRow | null;
  readonly onDone: () => void;
  readonly onClose: () => void;
}

export interface FieldsProps {
  readonly draft: Draft;
  readonly faults: Faults;
  readonly change: (patch: Partial<Draft>) => void;
}

export function ScheduleForm({ row, onDone, onClose }: Props) {
  const { api, notices } = useWorld();
  const form = useRef<HTMLFormElement>(null);
  const [draft, setDraft] = useState(() => draftOf(row, Intl.DateTimeFormat().resolvedOptions().timeZone));
  const [faults, setFaults] = useState<Faults>({});
  const [busy, setBusy] = useState(false);
  const change = (patch: Partial<Draft>): void => setDraft((before) => ({ ...before, ...patch }));

  useEffect(() => form.current?.querySelector<HTMLElement>("input:not(:disabled)")?.focus(), []);
  useEffect(() => {
    if (Object.keys(faults).length > 0) form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus();
  }, [faults]);

  const send = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const asked = requestOf(draft);
    if ("faults" in asked) return setFaults(asked.faults);
    setBusy(true);
    try {
      await (row === null ? createSchedule(api, asked.body) : putSchedule(api, row.name, asked.body));
      notices.say("info", row === null ? `${asked.body.name} is scheduled` : `${row.name} is changed`, null);
      onDone();
    } catch (error) {
      const { title, hint } = wordsOf(error);
      const detail = hint === null ? title : `${title} (${hint})`;
      setFaults(error instanceof ApiProblem ? faultsOf(draft, error.code, error.errors, detail) : { other: [detail] });
    } finally {
      setBusy(false);
    }
  };

  return (
    <Dialog
      open
      title={row === null ? "New schedule" : `Edit ${row.name}`}
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose}>Leave as it is</Button>
          <Button type="submit" form={FORM_ID} look="main" disabled={busy}>
            {row === null ? "Create" : "Save"}
          </Button>
        </>
      }
    >
      <form id={FORM_ID} ref={form} noValidate onSubmit={(event) => void send(event)} className="grid gap-3">
        <div role="alert" className="grid gap-2 empty:hidden">
          {faults.other?.map((fault) => (
            <p key={fault} className="rounded-md border border-line px-3 py-2 text-sm break-words text-bad">
              {fault}
            </p>
          ))}
        </div>
        <TimeFields draft={draft} faults={faults} change={change} named={row !== null} />
        <JobFields draft={draft} faults={faults} change={change} />
      </form>
    </Dialog>
  );
}

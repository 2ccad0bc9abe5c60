// Submitting a job: which kind, and then its form. With `?from=` it begins with what a job had.

import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { allRows, getJob, listKinds, type Api, type Options } from "../../api/index.ts";
import type { JobBody, KindBody } from "../../api/types.gen.ts";
import { Page } from "../../app/page.tsx";
import { idOf } from "../../form/parts.tsx";
import { fieldOf } from "../../form/schema.ts";
import { countRounded, initial, type Draft } from "../../form/values.ts";
import { useAge, useApi, useWorld } from "../../hooks/index.ts";
import { CONTROL, Empty, Field, Loading, ProblemBox } from "../../ui/index.ts";
import { formOf, PLAIN, store, stored, type Form } from "./draft.ts";
import { JobForm } from "./form.tsx";

const route = getRouteApi("/submit");
const kindsOf = (api: Api, options: Options): Promise<readonly KindBody[]> => allRows((page) => listKinds(api, page, options), ({ kinds }) => kinds);

export function SubmitPage() {
  const { kind, from, at } = route.useSearch();
  const kinds = useApi(["kinds"], kindsOf, { keep: true });
  const { log } = useAge();
  // After a reset the job that it began with is gone, and not asked for again.
  const begun = route.useRouteContext().openedIn === log ? from : undefined;
  const source = useApi<JobBody>(["job", begun, null], (api, options) => getJob(api, begun ?? "", undefined, options), { enabled: begun !== undefined, keep: true });
  const waiting = kinds.data === undefined || (begun !== undefined && source.data === undefined && !source.isError);
  return (
    <Page title="Submit a job">
      <div className="mx-auto grid max-w-2xl gap-4">
        {kinds.isError ? <ProblemBox error={kinds.error} onRetry={() => void kinds.refetch()} /> : null}
        {source.isError ? <ProblemBox error={source.error} /> : null}
        {at !== undefined ? (
          <Empty title="This is the past">
            <p>Jobs are submitted now. Go back to live first.</p>
          </Empty>
        ) : waiting ? (
          kinds.isError ? null : <Loading />
        ) : (
          <Submit key={`${begun ?? ""} ${kind ?? ""}`} kinds={kinds.data ?? []} asked={kind} job={begun === undefined ? undefined : source.data} />
        )}
      </div>
    </Page>
  );
}

function argsOf(kind: KindBody | undefined): Draft {
  return kind?.schema == null ? {} : initial(fieldOf(kind.schema));
}

function firstForm(kinds: readonly KindBody[], asked: string | undefined, job: JobBody | undefined): Form {
  if (job !== undefined) return formOf(job, kinds.find(({ name }) => name === job.kind));
  const kept = stored()?.form;
  if (kept !== undefined && (asked === undefined || kept.kind === asked)) return kept;
  const kind = kinds.find(({ name }) => name === asked) ?? (asked === undefined ? kinds[0] : undefined);
  return { kind: kind?.name ?? asked ?? "", args: argsOf(kind), advanced: PLAIN };
}

interface Props {
  readonly kinds: readonly KindBody[];
  readonly asked: string | undefined;
  readonly job: JobBody | undefined;
}

function Submit({ kinds, asked, job }: Props) {
  const world = useWorld();
  const navigate = useNavigate();
  const [attempt] = useState(() => (job === undefined ? (stored()?.attempt ?? null) : null));
  const [form, setForm] = useState(() => firstForm(kinds, asked, job));
  // What was typed for a kind is there again when one comes back to it.
  const others = useRef(new Map<string, Draft>());
  const kind = useMemo(() => kinds.find(({ name }) => name === form.kind.trim()), [kinds, form.kind]);
  const change = useCallback((next: Form) => setForm(next), []);
  useEffect(
    () =>
      world.onClear(() => {
        // Ids in it are of the log that is no more; what somebody wrote is theirs.
        setForm((before) => ({ ...before, advanced: { ...before.advanced, depends_on: "" } }));
        if (stored() !== null) store({ ...form, advanced: { ...form.advanced, depends_on: "" } }, null);
        if (job !== undefined) void navigate({ to: "/submit", search: {}, replace: true });
      }),
    [world, form, job, navigate],
  );
  const choose = (name: string): void => {
    others.current.set(form.kind, form.args);
    const next = kinds.find((one) => one.name === name);
    // A name that is being typed takes the args along; a kind of the configuration has its own.
    const args = others.current.get(name) ?? (next === undefined && kind === undefined ? form.args : argsOf(next));
    setForm({ ...form, kind: name, args });
  };
  return (
    <>
      {job === undefined ? null : <FromNote job={job} />}
      <KindPicker kinds={kinds} value={form.kind} onChange={choose} />
      <JobForm form={form} kind={kind} attempt={attempt} onChange={change} />
    </>
  );
}

function FromNote({ job }: { job: JobBody }) {
  const missing = [
    job.purged_at === null ? null : "its arguments were purged",
    job.items === null ? null : "its items are not copied",
    job.unique_key === null ? null : "its unique key is its own",
    countRounded(job.args) === 0 ? null : "numbers beyond 2⁵³ in it may have lost digits in this browser",
  ].filter((one) => one !== null);
  return (
    <p className="text-sm text-muted">
      As job <span className="font-mono text-xs">{job.id}</span>
      {missing.length === 0 ? "" : `; ${missing.join(", ")}`}.
    </p>
  );
}

/** Those of the configuration, or any other name: workers may take kinds that nobody listed. */
function KindPicker({ kinds, value, onChange }: { kinds: readonly KindBody[]; value: string; onChange: (kind: string) => void }) {
  const listed = kinds.some(({ name }) => name === value);
  const [free, setFree] = useState(!listed);
  const other = free || !listed;
  return (
    <div className="grid gap-4">
      {kinds.length === 0 ? null : (
        <Field label="Kind" {...(other ? {} : { id: idOf("/kind") })} hint={kinds.length === 1 ? undefined : "Which program runs it."}>
          {(control) => (
            <select
              {...control}
              value={other ? "" : value}
              onChange={(event) => {
                setFree(event.target.value === "");
                onChange(event.target.value);
              }}
              className={`${CONTROL} font-medium`}
            >
              {kinds.map(({ name, schema }) => (
                <option key={name} value={name}>
                  {titleOf(name, schema)}
                </option>
              ))}
              <option value="">another kind …</option>
            </select>
          )}
        </Field>
      )}
      {other ? (
        <Field label={kinds.length === 0 ? "Kind" : "Name of the kind"} id={idOf("/kind")} required hint="Any name, unless the server takes only those that it knows.">
          {(control) => <input {...control} required={false} aria-required value={value} autoComplete="off" spellCheck={false} onChange={(event) => onChange(event.target.value)} className={CONTROL} />}
        </Field>
      ) : null}
    </div>
  );
}

function titleOf(name: string, schema: KindBody["schema"]): string {
  const title = schema?.title;
  if (typeof title !== "string" || title.toLowerCase() === name.toLowerCase()) return name;
  return title.startsWith(`${name}:`) ? title : `${name}: ${title}`;
}

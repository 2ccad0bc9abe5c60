// What the form holds, what is sent of it, and how it survives a refresh. Ids of jobs in it go with their log.

import { parseJson } from "../../api/exact.ts";
import type { JobBody, JobRequest, KindBody } from "../../api/types.gen.ts";
import type { Json } from "../../form/schema.ts";
import { isRecord, read, valueAt, weight, type Draft, type Fault } from "../../form/values.ts";

/** Texts, as they are typed. */
export interface Advanced {
  readonly queue: string;
  readonly priority: string;
  readonly tags: string;
  readonly max_attempts: string;
  readonly timeout_s: string;
  readonly unique_key: string;
  readonly depends_on: string;
  readonly when: "now" | "delay" | "at";
  readonly delay_s: string;
  readonly scheduled_at: string;
}

export interface Form {
  readonly kind: string;
  readonly args: Draft;
  readonly advanced: Advanced;
}

/** A request that went out and may have been done: the same words again go with the same key. */
export interface Attempt {
  readonly key: string;
  readonly text: string;
}

export const PLAIN: Advanced = {
  queue: "",
  priority: "",
  tags: "",
  max_attempts: "",
  timeout_s: "",
  unique_key: "",
  depends_on: "",
  when: "now",
  delay_s: "",
  scheduled_at: "",
};

const listOf = (text: string): string[] => text.split(/[,\n]/).map((one) => one.trim()).filter((one) => one !== "");

function numberOf(name: string, text: string, faults: Fault[]): number | undefined {
  if (text.trim() === "") return undefined;
  const value = Number(text);
  if (Number.isFinite(value)) return value;
  faults.push({ pointer: `/${name}`, message: "is not a number" });
  return undefined;
}

/** What would be sent, and what is wrong before it is. */
export function bodyOf({ kind, args, advanced }: Form): { readonly body: JobRequest; readonly faults: readonly Fault[] } {
  const found = read(args, "/args");
  const faults: Fault[] = [...found.faults];
  if (kind.trim() === "") faults.push({ pointer: "/kind", message: "is missing" });
  if (found.value !== undefined && !isRecord(found.value)) faults.push({ pointer: "/args", message: "must be an object" });
  const number = (name: "priority" | "max_attempts" | "timeout_s" | "delay_s"): number | undefined => numberOf(name, advanced[name], faults);
  const [tags, depends_on] = [listOf(advanced.tags), listOf(advanced.depends_on)];
  const fields = {
    queue: advanced.queue.trim() || undefined,
    priority: number("priority"),
    max_attempts: number("max_attempts"),
    timeout_s: number("timeout_s"),
    delay_s: advanced.when === "delay" ? number("delay_s") : undefined,
    scheduled_at: advanced.when === "at" ? momentOf(advanced.scheduled_at, faults) : undefined,
    tags: tags.length === 0 ? undefined : tags,
    unique_key: advanced.unique_key.trim() || undefined,
    depends_on: depends_on.length === 0 ? undefined : depends_on,
  };
  const set = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  return { body: { kind: kind.trim(), args: (found.value ?? {}) as Record<string, unknown>, ...set }, faults };
}

function momentOf(local: string, faults: Fault[]): string | undefined {
  const date = new Date(local);
  if (local !== "" && !Number.isNaN(date.getTime())) return date.toISOString();
  faults.push({ pointer: "/scheduled_at", message: "is missing" });
  return undefined;
}

/** What is set beside the args: the advanced part is open then. */
export function isPlain(advanced: Advanced): boolean {
  return (Object.keys(PLAIN) as (keyof Advanced)[]).every((name) => advanced[name] === PLAIN[name]);
}

/** As a job was submitted, as far as it is not what its kind says anyway. Its key and what it waited for are its own. */
export function formOf(job: JobBody, kind: KindBody | undefined): Form {
  const own = (value: number | string | null, usual: number | string | null | undefined): string => (value === null || value === (usual ?? null) ? "" : String(value));
  return {
    kind: job.kind,
    args: (job.args ?? {}) as { readonly [name: string]: Json },
    advanced: {
      ...PLAIN,
      queue: own(job.queue, kind?.settings.queue ?? "default"),
      priority: own(job.priority, 0),
      tags: job.tags.join(", "),
      max_attempts: own(job.max_attempts, kind?.settings.max_attempts ?? 2),
      timeout_s: own(job.timeout_s, kind?.settings.timeout_s),
    },
  };
}

/** Args of a job at most, and the keyword of ours that says less for some of them. */
const ARGS_BYTES_MAX = 12 * 1024 * 1024;

/** How many bytes of base64 may still be added. */
export function roomOf(args: Draft, schema: unknown): number {
  const left = ARGS_BYTES_MAX - weight(args) - 1024;
  const limit = valueAt(schema as Draft, "/x-daybook-base64");
  if (!isRecord(limit) || typeof limit.max_total_bytes !== "number" || !Array.isArray(limit.properties)) return left;
  const texts = (limit.properties as readonly string[]).flatMap((name) => [valueAt(args, `/${name}`)].flat());
  const used = texts.reduce<number>((sum, one) => sum + (typeof one === "string" ? one.length : 0), 0);
  return Math.min(left, limit.max_total_bytes - used);
}

const KEY = "daybook:submit";
/** Above this (a file is in it) it lasts as long as the page. */
const STORED_MAX = 500_000;

interface Stored {
  readonly form: Form;
  readonly attempt: Attempt | null;
}

export function store(form: Form, attempt: Attempt | null): void {
  try {
    if (weight(form.args) > STORED_MAX) return sessionStorage.removeItem(KEY);
    const text = JSON.stringify({ form: { ...form, args: read(form.args).value ?? {} }, attempt });
    if (text.length <= STORED_MAX) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Then it lasts as long as the page.
  }
}

export function stored(): Stored | null {
  try {
    const found = parseJson(sessionStorage.getItem(KEY) ?? "null") as Stored | null;
    if (typeof found?.form?.kind !== "string") return null;
    return { form: { ...found.form, advanced: { ...PLAIN, ...found.form.advanced } }, attempt: found.attempt };
  } catch {
    return null;
  }
}

export function forget(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // It was not there either.
  }
}

// The API as a test uses it: submitting, and a worker that does exactly what the test says, when it says so.

import type { HandedJob, JobBody, Registered } from "../../src/api/types.gen.ts";
import type { Daybook } from "./daybook.ts";

export async function call<T>(daybook: Daybook, method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const answer = await fetch(daybook.url + path, {
    method,
    headers: { "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export const submit = (daybook: Daybook, body: Record<string, unknown>): Promise<JobBody> =>
  call(daybook, "POST", "/api/jobs", { args: {}, ...body });

/** A job in the worker's hands. */
export class Lease {
  readonly id: string;
  readonly #daybook: Daybook;
  readonly token: string;

  constructor(daybook: Daybook, handed: HandedJob) {
    this.#daybook = daybook;
    this.id = handed.job.id;
    this.token = handed.lease.token;
  }

  /** What a worker that comes back names it by. */
  get held(): { job_id: string; token: string } {
    return { job_id: this.id, token: this.token };
  }

  #say(what: string, body: unknown): Promise<unknown> {
    return call(this.#daybook, "POST", `/api/jobs/${this.id}/${what}`, body, { "lease-token": this.token });
  }

  progress(percent: number, message: string): Promise<unknown> {
    return this.#say("progress", { percent, message });
  }

  /** Any fields of progress. */
  tell(fields: Readonly<Record<string, unknown>>): Promise<unknown> {
    return this.#say("progress", fields);
  }

  items(...reports: readonly Readonly<Record<string, unknown>>[]): Promise<unknown> {
    return this.#say("items", { items: reports });
  }

  lines(lines: readonly { readonly stream: "stdout" | "stderr"; readonly text: string }[]): Promise<unknown> {
    return this.#say("logs", { lines });
  }

  async file(name: string, type: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const path = `${this.#daybook.url}/api/jobs/${this.id}/files/${encodeURIComponent(name)}`;
    const answer = await fetch(path, { method: "PUT", headers: { "lease-token": this.token, "content-type": type }, body: bytes });
    if (!answer.ok) throw new Error(`PUT ${name}: ${answer.status} ${await answer.text()}`);
  }

  /** A child of this job. */
  child(body: Readonly<Record<string, unknown>>): Promise<JobBody> {
    return call(this.#daybook, "POST", "/api/jobs", { args: {}, ...body }, { "lease-token": this.token });
  }

  log(...texts: readonly string[]): Promise<unknown> {
    return this.#say("logs", { lines: texts.map((text) => ({ stream: "stdout", text })) });
  }

  complete(result: unknown): Promise<unknown> {
    return this.#say("complete", { result });
  }

  fail(message: string, retryable = false): Promise<unknown> {
    return this.#say("fail", { error: { code: "broken", message, details: null, retryable } });
  }
}

export class Worker {
  readonly #daybook: Daybook;
  readonly #session: string;

  get session(): string {
    return this.#session;
  }

  private constructor(daybook: Daybook, session: string) {
    this.#daybook = daybook;
    this.#session = session;
  }

  static async join(daybook: Daybook, name = "e2e", concurrency = 10, kinds: readonly string[] = []): Promise<Worker> {
    const { session } = await call<Registered>(daybook, "POST", "/api/workers", { name, kinds, queues: null, concurrency });
    return new Worker(daybook, session);
  }

  /** Takes up leases of before a restart. */
  async resume(leases: readonly Lease[]): Promise<void> {
    await call(this.#daybook, "POST", "/api/heartbeat", { session: this.#session, leases: leases.map(({ held }) => held) });
  }

  /** The next job; waits for it. */
  async take(): Promise<Lease> {
    const answer = await call<{ jobs: readonly HandedJob[] } | undefined>(this.#daybook, "POST", "/api/claim", { session: this.#session, max: 1, wait_s: 20 });
    const handed = answer?.jobs[0];
    if (handed === undefined) throw new Error("no job came");
    return new Lease(this.#daybook, handed);
  }

  /** Says that it is there; its leases are not named. */
  beat(): Promise<unknown> {
    return call(this.#daybook, "POST", "/api/heartbeat", { session: this.#session, leases: [] });
  }

  /** Goes in order. */
  leave(): Promise<unknown> {
    return call(this.#daybook, "DELETE", `/api/workers/${this.#session}`);
  }
}

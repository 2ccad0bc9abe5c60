// What a request may end with instead of an answer, as one class: the server's own problem (RFC 9457), or ours when
// nobody or somebody else answered. `EpochChanged` and aborts are passed on as they are.

import type { Problem } from "./types.gen.ts";

export class ApiProblem extends Error {
  /** 0: there was no answer. */
  readonly status: number;
  /** Stable: what code may ask for. `unreachable` and `not_daybook` are ours. */
  readonly code: string;
  readonly detail: string;
  readonly hint: string | null;
  readonly jobId: string | null;
  readonly errors: readonly Problem[];

  constructor(fields: {
    status: number;
    code: string;
    detail: string;
    hint?: string | null;
    jobId?: string | null;
    errors?: readonly Problem[];
  }) {
    super(fields.detail);
    this.name = "ApiProblem";
    this.status = fields.status;
    this.code = fields.code;
    this.detail = fields.detail;
    this.hint = fields.hint ?? null;
    this.jobId = fields.jobId ?? null;
    this.errors = fields.errors ?? [];
  }
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** From an answer that is no success. Whatever its body is, there is something to show. */
export async function problemOf(answer: Response): Promise<ApiProblem> {
  let body: unknown = null;
  try {
    body = await answer.json();
  } catch {
    // A proxy's page, or nothing at all.
  }
  const fields = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const code = text(fields.code);
  if (code === null) {
    const detail = `the answer was ${answer.status} ${answer.statusText}, and not in Daybook's words`;
    return new ApiProblem({ status: answer.status, code: "not_daybook", detail: detail.replace("  ", " ") });
  }
  return new ApiProblem({
    status: answer.status,
    code,
    detail: text(fields.detail) ?? text(fields.title) ?? code,
    hint: text(fields.hint),
    jobId: text(fields.job_id),
    errors: Array.isArray(fields.errors) ? (fields.errors as readonly Problem[]) : [],
  });
}

/** It was kept back: the server is away, and may be another when it is there again. */
export function notSent(): ApiProblem {
  return new ApiProblem({ status: 0, code: "unreachable", detail: "the server is not there", hint: "Nothing was sent. Do it again when it is live." });
}

/** The network failed before there was an answer. What reads is asked again by whoever shows it; what changes something
 *  may have been done, and is not. */
export function unreachable(method = "GET"): ApiProblem {
  const hint = method === "GET" ? "It is tried again by itself." : "It may have been done all the same: look before you try again.";
  return new ApiProblem({ status: 0, code: "unreachable", detail: "the server does not answer", hint });
}

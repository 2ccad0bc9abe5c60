// Typed requests over `sync.fetch`: an answer of another epoch never arrives, and every failure is an `ApiProblem`.
// It knows JSON and headers; which paths there are is in calls.ts.

import { parseJson } from "./exact.ts";
import { ApiProblem, problemOf, unreachable } from "./problem.ts";

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;
/** Undefined, null and empty values are left out; lists are repeated. */
export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | null | undefined>>;

export interface Options {
  readonly query?: Query;
  readonly signal?: AbortSignal | undefined;
  /** For a change that may be sent again: the same key, the same change. Made up when left out. */
  readonly key?: string | undefined;
}

/** As `crypto.randomUUID`, which is not there on plain http beyond loopback. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function pathOf(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") search.append(name, String(one));
    }
  }
  return search.size === 0 ? path : `${path}?${search}`;
}

/** Whether a request is about jobs by their ids: one in its path, or many in its body. */
export function namesJob(path: string): boolean {
  return /^\/api\/jobs\/([0-9a-f]{8}-|actions$)/.test(path);
}

export class Api {
  readonly #fetch: Fetch;

  constructor(fetch: Fetch) {
    this.#fetch = fetch;
  }

  get<T>(path: string, options: Options = {}): Promise<T> {
    return this.#json<T>(pathOf(path, options.query), init("GET", undefined, options));
  }

  /** Carries an `Idempotency-Key`: where the server knows it, a second try changes nothing. */
  post<T>(path: string, body: unknown = {}, options: Options = {}): Promise<T> {
    return this.#json<T>(pathOf(path, options.query), init("POST", body, options));
  }

  put<T>(path: string, body: unknown, options: Options = {}): Promise<T> {
    return this.#json<T>(pathOf(path, options.query), init("PUT", body, options));
  }

  patch<T>(path: string, body: unknown, options: Options = {}): Promise<T> {
    return this.#json<T>(pathOf(path, options.query), init("PATCH", body, options));
  }

  async delete(path: string, options: Options = {}): Promise<void> {
    await this.raw(pathOf(path, options.query), init("DELETE", undefined, options));
  }

  /** The answer itself, for texts and files. A failure is an `ApiProblem` here as well. */
  async raw(path: string, init: RequestInit = {}): Promise<Response> {
    let answer: Response;
    try {
      answer = await this.#fetch(path, init);
    } catch (error) {
      // What `fetch` throws when there is no connection; aborts and epochs have names of their own.
      if (error instanceof TypeError) throw unreachable(init.method);
      throw error;
    }
    if (!answer.ok) throw await problemOf(answer);
    return answer;
  }

  async #json<T>(path: string, init: RequestInit): Promise<T> {
    const answer = await this.raw(path, init);
    if (answer.status === 204) return undefined as T;
    try {
      // What the server promises in schemas/http; its own tests hold it to that.
      return parseJson(await answer.text()) as T;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new ApiProblem({ status: answer.status, code: "not_daybook", detail: "the answer is not JSON" });
    }
  }
}

function init(method: string, body: unknown, options: Options): RequestInit {
  const headers: Record<string, string> = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (method === "POST") headers["idempotency-key"] = options.key ?? randomKey();
  return {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
}

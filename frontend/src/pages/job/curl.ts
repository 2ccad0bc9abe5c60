// A job as the command that submits it again. Pure.

import type { JobBody } from "../../api/types.gen.ts";

/** What one argument of a command may be, less some: above it the body comes by standard input. */
const ARGUMENT_MAX = 100_000;

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function curlOf(job: JobBody, origin: string): string {
  const body: Record<string, unknown> = { kind: job.kind, args: job.args, queue: job.queue, max_attempts: job.max_attempts };
  if (job.priority !== 0) body.priority = job.priority;
  if (job.tags.length > 0) body.tags = job.tags;
  if (job.timeout_s !== null) body.timeout_s = job.timeout_s;
  const text = JSON.stringify(body);
  const head = `curl -X POST ${quoted(`${origin}/api/jobs`)} -H 'content-type: application/json'`;
  if (text.length <= ARGUMENT_MAX) return `${head} -d ${quoted(text)}`;
  // JSON on one line: no line of it can be the mark that ends it.
  return `${head} --data-binary @- <<'DAYBOOK'\n${text}\nDAYBOOK`;
}

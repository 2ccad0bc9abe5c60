// What came of a job, in the one line that the strip has for it. Pure.

import type { JobBody } from "../../api/types.gen.ts";

const LENGTH_MAX = 80;

function cut(text: string): string {
  return text.length <= LENGTH_MAX ? text : `${text.slice(0, LENGTH_MAX - 1)}…`;
}

export function outcomeOf({ state, result, error, reason }: Pick<JobBody, "state" | "result" | "error" | "reason">): string {
  const why = reason === null ? "" : reason.replaceAll("_", " ");
  if (state !== "completed") return cut(error?.message ?? why);
  if (result === null || result === undefined) return "no result";
  return cut(typeof result === "string" ? result : JSON.stringify(result));
}

// What the server, or the form before it, has against the job: a list whose lines lead to their fields.

import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { ApiProblem } from "../../api/index.ts";
import { idOf } from "../../form/parts.tsx";
import type { Fault } from "../../form/values.ts";
import { Icon, wordsOf } from "../../ui/index.ts";

/** The control of a pointer, or of what it is a part of. */
function controlOf(pointer: string): HTMLElement | null {
  for (let at = pointer; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    const found = document.getElementById(idOf(at));
    if (found !== null) return found;
  }
  return null;
}

/** As one reads it: `frames › 0 › a/b`. */
export function placeOf(pointer: string): string {
  const steps = pointer.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  return (steps[0] === "args" ? steps.slice(1) : steps).join(" › ") || "arguments";
}

function go(pointer: string): void {
  const control = controlOf(pointer);
  const folded = control?.closest("details");
  if (folded instanceof HTMLDetailsElement) folded.open = true;
  control?.focus();
  control?.scrollIntoView({ block: "center" });
}

interface Props {
  /** What was answered, if anything was. */
  readonly problem: unknown;
  readonly faults: readonly Fault[];
  /** The answer never came: it may have been done. */
  readonly lost: boolean;
}

export function ErrorSummary({ problem, faults, lost }: Props) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => box.current?.focus(), [problem, faults]);
  const { title, hint } = lost
    ? { title: "No answer came, so nobody knows whether it was submitted.", hint: "Submit again: it carries the same key, and is submitted once." }
    : problem === null
      ? { title: "Some fields cannot be sent as they are.", hint: null }
      : wordsOf(problem);
  const holder = problem instanceof ApiProblem ? problem.jobId : null;
  return (
    <div ref={box} role="alert" tabIndex={-1} className="flex items-start gap-2 rounded-md border border-line bg-surface p-3 text-sm">
      <Icon name="warning" className="mt-0.5 text-bad" />
      <div className="grid min-w-0 flex-1 gap-1">
        <p className="font-medium break-words">{title}</p>
        {hint === null ? null : <p className="text-muted">{hint}</p>}
        {holder === null ? null : (
          <Link to="/jobs/$id" params={{ id: holder }} className="w-max text-accent underline">
            Open the job that has it
          </Link>
        )}
        {faults.length === 0 ? null : (
          <ul className="grid gap-1">
            {faults.map(({ pointer, message }) => (
              <li key={`${pointer} ${message}`}>
                <a
                  href={`#${idOf(pointer)}`}
                  onClick={(event) => {
                    event.preventDefault();
                    go(pointer);
                  }}
                  className="break-words text-accent underline"
                >
                  {placeOf(pointer)}
                </a>{" "}
                {message}
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}

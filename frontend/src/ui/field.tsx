// A label, its control, a hint and what is wrong, tied together for assistive technology.

import { useId, type ReactNode } from "react";

export const CONTROL =
  "h-8 w-full min-w-0 rounded-md border border-edge/60 bg-surface px-2 text-base aria-invalid:border-bad disabled:opacity-50";

export interface ControlProps {
  readonly id: string;
  readonly "aria-describedby"?: string;
  readonly "aria-invalid"?: true;
  readonly required?: boolean;
}

interface Props {
  readonly label: string;
  readonly hint?: string | undefined;
  readonly errors?: readonly string[];
  readonly required?: boolean;
  /** Of the control, for links to it; made up when left out. */
  readonly id?: string;
  /** The label stands beside its control: a box to tick. */
  readonly beside?: boolean;
  /** Spread what it is given onto the control. */
  readonly children: (control: ControlProps) => ReactNode;
}

export function Field({ label, hint, errors = [], required = false, id: given, beside = false, children }: Props) {
  const own = useId();
  const id = given ?? own;
  const described = [hint === undefined ? null : `${id}-hint`, errors.length === 0 ? null : `${id}-errors`].filter((one) => one !== null);
  const name = (
    <label htmlFor={id} className="text-sm font-medium">
      {label}
      {required ? <span className="text-muted"> (required)</span> : null}
    </label>
  );
  const control = children({
    id,
    ...(described.length === 0 ? {} : { "aria-describedby": described.join(" ") }),
    ...(errors.length === 0 ? {} : { "aria-invalid": true }),
    ...(required ? { required } : {}),
  });
  return (
    <div className="grid gap-1">
      {beside ? (
        <div className="flex items-center gap-2">
          {control}
          {name}
        </div>
      ) : (
        <>
          {name}
          {control}
        </>
      )}
      {hint === undefined ? null : (
        <p id={`${id}-hint`} className="text-xs text-muted">
          {hint}
        </p>
      )}
      {errors.length === 0 ? null : (
        <ul id={`${id}-errors`} className="text-xs text-bad">
          {errors.map((error) => (
            <li key={error}>{error}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

// Nothing to show: says why, and what would change that.

import type { ReactNode } from "react";

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="grid justify-items-center gap-2 px-4 py-16 text-center">
      <p className="text-base font-semibold">{title}</p>
      {children === undefined ? null : <div className="grid max-w-prose justify-items-center gap-3 text-sm text-muted">{children}</div>}
    </div>
  );
}

/** Something is on its way. Shown only after a moment, so that what comes at once does not flicker. */
export function Loading({ label = "Loading" }: { label?: string }) {
  return (
    <p className="px-4 py-16 text-center text-sm text-muted" role="status">
      {label} …
    </p>
  );
}

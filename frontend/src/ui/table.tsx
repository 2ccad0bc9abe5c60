// A short table that is drawn whole: queues, workers, numbers of a chart. For thousands of rows there is grid.tsx. On
// phones pages draw `Cards` instead, so that nothing scrolls sideways.

import type { ReactNode, Ref } from "react";

interface TableProps {
  readonly label: string;
  /** Numbers that one looks through, and nothing to press. */
  readonly dense?: boolean;
  /** `Th` elements. */
  readonly head: ReactNode;
  /** `tr` elements. */
  readonly children: ReactNode;
}

const DENSE = "[&_tbody_th]:h-7 [&_tbody_th]:py-0.5 [&_tbody_td]:h-7 [&_tbody_td]:py-0.5 [&_tbody_tr:last-child>*]:border-b-0";

export function Table({ label, dense = false, head, children }: TableProps) {
  return (
    <table aria-label={label} className={`w-full border-separate border-spacing-0 text-sm ${dense ? DENSE : ""}`}>
      <thead>
        <tr>{head}</tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}

interface CellProps {
  readonly children?: ReactNode;
  readonly right?: boolean;
  readonly className?: string;
}

const SIDES = "px-2 first:pl-3 last:pr-3 sm:first:pl-4 sm:last:pr-4";

export function Th({ children, right = false, className = "" }: CellProps) {
  return (
    <th
      scope="col"
      className={`sticky top-0 z-10 h-8 border-b border-line bg-sunken text-xs font-semibold whitespace-nowrap text-muted ${SIDES} ${right ? "text-right" : "text-left"} ${className}`}
    >
      {children}
    </th>
  );
}

export function Td({ children, right = false, className = "" }: CellProps) {
  return <td className={`h-9 min-w-0 border-b border-line py-1 align-middle ${SIDES} ${right ? "text-right" : ""} ${className}`}>{children}</td>;
}

/** What names the row. */
export function RowHead({ children, className = "" }: CellProps) {
  return (
    <th scope="row" className={`h-9 min-w-0 border-b border-line py-1 text-left align-middle font-medium ${SIDES} ${className}`}>
      {children}
    </th>
  );
}

/** The same rows on a phone. */
export function Cards({ label, children }: { label: string; children: ReactNode }) {
  return (
    <ul aria-label={label} className="grid">
      {children}
    </ul>
  );
}

export function Card({ children, ...rest }: { children: ReactNode; [data: `data-${string}`]: string | undefined }) {
  return (
    <li {...rest} className="grid gap-1.5 border-b border-line px-3 py-2.5 text-sm">
      {children}
    </li>
  );
}

/** What a page of such tables scrolls in. */
export function TableArea({ children, busy = false, area }: { children: ReactNode; busy?: boolean; area?: Ref<HTMLDivElement> }) {
  return (
    <div ref={area} className="min-h-0 flex-1 overflow-x-hidden overflow-y-auto bg-surface" aria-busy={busy}>
      {children}
    </div>
  );
}

const REACHED = "a[href], button:not(:disabled), summary";

/** Moves the focus by so many rows, to the first thing of a row that takes it; into the first row from elsewhere. */
export function moveRow(area: HTMLElement | null, step: number): void {
  const rows = [...(area?.querySelectorAll<HTMLElement>("tbody tr, ul > li") ?? [])].filter((row) => row.querySelector(REACHED) !== null);
  const from = rows.findIndex((row) => row.contains(document.activeElement));
  const to = from < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, from + step));
  rows[to]?.querySelector<HTMLElement>(REACHED)?.focus();
}

// A tree of jobs as the lines of a list: each after its parent, children in order of submission. Pure.

import type { JobRow } from "../../api/types.gen.ts";

export interface TreeLine {
  readonly row: JobRow;
  readonly depth: number;
}

export function linesOf(rows: readonly JobRow[]): TreeLine[] {
  const known = new Set(rows.map(({ id }) => id));
  const children = new Map<string | null, JobRow[]>();
  for (const row of rows.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    // A parent that was forgotten, or is on a later page: then it stands at the top.
    const parent = row.parent_id !== null && known.has(row.parent_id) ? row.parent_id : null;
    const list = children.get(parent);
    if (list === undefined) children.set(parent, [row]);
    else list.push(row);
  }
  const lines: TreeLine[] = [];
  // By hand, not by calls: a chain of thousands is deeper than the stack.
  const due = (children.get(null) ?? []).map((row) => ({ row, depth: 0 })).reverse();
  for (let next = due.pop(); next !== undefined; next = due.pop()) {
    lines.push(next);
    const { depth } = next;
    for (const row of (children.get(next.row.id) ?? []).reverse()) due.push({ row, depth: depth + 1 });
  }
  return lines;
}

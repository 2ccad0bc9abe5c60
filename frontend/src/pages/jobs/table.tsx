// The list of jobs as a grid, and the keys that select in it.

import { useNavigate } from "@tanstack/react-router";
import { useCallback, type KeyboardEvent, type Ref, type RefObject } from "react";
import type { JobList, ListView } from "../../store/index.ts";
import { Grid, type GridHandle } from "../../ui/grid.tsx";
import { Button, useNarrow } from "../../ui/index.ts";
import { CARD_PX, Head, JobCard, JobLine, LINE_PX } from "./row.tsx";
import type { Selection } from "./selection.ts";

interface Props {
  readonly view: ListView;
  readonly list: JobList;
  /** Null: nothing can be selected. */
  readonly selection: Selection | null;
  readonly handle: RefObject<GridHandle | null>;
}

export function JobTable({ view, list, selection, handle }: Props) {
  const navigate = useNavigate();
  const narrow = useNarrow();
  const { loadingMore, problem } = view;
  // Another one after each reading: pages of a search may have brought nothing, and the end is still in view.
  const onEnd = useCallback(() => void (loadingMore || problem !== null ? null : list.more()), [list, loadingMore, problem]);
  const onAtTop = useCallback((atTop: boolean) => (atTop ? list.release() : list.hold()), [list]);
  const onRange = useCallback((first: number, last: number) => list.look(first, last), [list]);
  const onKey = (event: KeyboardEvent, id: string | null): boolean => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!event.shiftKey || step === undefined || selection === null) return false;
    if (id !== null) selection.add(id);
    const next = handle.current?.move(step) ?? null;
    if (next !== null) selection.add(next);
    return true;
  };
  return (
    <Grid
      label="Jobs"
      ids={view.ids}
      row={narrow ? JobCard : JobLine}
      rowHeight={narrow ? CARD_PX : LINE_PX}
      rowCount={view.complete ? view.ids.length + 1 : -1}
      onOpen={(id) => void navigate({ to: "/jobs/$id", params: { id } })}
      onEnd={onEnd}
      onAtTop={onAtTop}
      onRange={onRange}
      onKey={onKey}
      selectable={selection !== null}
      handle={handle as Ref<GridHandle>}
      head={<Head />}
      foot={<Foot view={view} onRetry={() => void list.more()} />}
    />
  );
}

function Foot({ view, onRetry }: { view: ListView; onRetry: () => void }) {
  const words = view.full
    ? "These are as many as one list holds. Narrow it to see older jobs."
    : view.complete
      ? "These are all."
      : view.loadingMore
        ? "Loading more …"
        : "";
  return (
    <div className="flex min-h-10 items-center justify-center pt-3 pb-16 text-xs text-muted">
      {view.problem !== null && words === "" ? <Button onClick={onRetry}>Load more</Button> : words}
    </div>
  );
}

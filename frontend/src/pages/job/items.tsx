// The items of a batch: how many are in which state, and a list of any length; one opens with all that is known of it.

import { memo, useCallback, useMemo, useState, useSyncExternalStore, type ComponentType } from "react";
import { isExact } from "../../api/exact.ts";
import type { ItemRow, ItemState, JobRow } from "../../api/types.gen.ts";
import type { ItemPages, ItemsView } from "../../store/index.ts";
import { Cell, Grid, gridRow, HeadCell, type GridRowProps } from "../../ui/grid.tsx";
import { Button, Dialog, Empty, Icon, Loading, ProblemBox, short, useNarrow, type IconName } from "../../ui/index.ts";
import { JsonView } from "../../ui/json-view.tsx";
import { useItems } from "./data.ts";

interface Props {
  readonly row: JobRow;
  readonly at: number | undefined;
  readonly state: ItemState | undefined;
  readonly onState: (state: ItemState | undefined) => void;
}

const LOOKS: Readonly<Record<ItemState, { icon: IconName; colour: string }>> = {
  pending: { icon: "queued", colour: "text-waiting" },
  completed: { icon: "completed", colour: "text-good" },
  failed: { icon: "failed", colour: "text-bad" },
  skipped: { icon: "cancelled", colour: "text-stopped" },
};
const STATES = ["pending", "completed", "failed", "skipped"] as const satisfies readonly ItemState[];

export function Items({ row, at, state, onState }: Props) {
  const counts = row.items;
  return (
    <>
      <div role="group" aria-label="State of items" className="flex shrink-0 gap-0.5 overflow-x-auto px-2 py-1.5 sm:px-3">
        <Choice label="All" count={counts?.total ?? 0} chosen={state === undefined} onClick={() => onState(undefined)} />
        {STATES.map((one) => (
          <Choice key={one} label={one} look={LOOKS[one]} count={counts?.[one] ?? 0} chosen={state === one} onClick={() => onState(one)} />
        ))}
      </div>
      <List key={`${state ?? ""} ${at ?? ""}`} id={row.id} total={counts?.[state ?? "total"] ?? 0} state={state} at={at} />
    </>
  );
}

function Choice({ label, count, look, chosen, onClick }: { label: string; count: number; look?: { icon: IconName; colour: string }; chosen: boolean; onClick: () => void }) {
  return (
    <button
      type="button"
      aria-pressed={chosen}
      onClick={onClick}
      className={`inline-flex h-8 shrink-0 items-center gap-1.5 rounded-md px-2 text-sm font-medium capitalize ${chosen ? "bg-chosen text-ink" : "text-muted hover:bg-hover hover:text-ink"}`}
    >
      {look === undefined ? null : <Icon name={look.icon} className={look.colour} />}
      {label}
      <span title={String(count)} className="text-xs">
        {short(count)}
      </span>
    </button>
  );
}

function List({ id, total, state, at }: { id: string; total: number; state: ItemState | undefined; at: number | undefined }) {
  const { items, view } = useItems(id, state, at);
  const [open, setOpen] = useState<string | null>(null);
  const narrow = useNarrow();
  const Row = useMemo(() => rowOf(items, narrow), [items, narrow]);
  const onEnd = useCallback(() => void items.more(), [items]);
  if (view.phase === "failed" && view.keys.length === 0) return <ProblemBox error={view.problem} onRetry={() => void items.reload()} />;
  if (view.phase === "loading") return <Loading label="Loading the items" />;
  if (view.keys.length === 0) return <Empty title={state === undefined ? "No items" : `No item is ${state}`} />;
  return (
    <>
      {state !== undefined && view.changed > 0 ? (
        <div className="flex shrink-0 items-center gap-2 border-y border-line bg-sunken px-4 py-1 text-sm">
          <span>Items have changed since.</span>
          <Button look="quiet" onClick={() => void items.reload()}>
            Refresh
          </Button>
        </div>
      ) : null}
      <Grid
        label="Items"
        ids={view.keys}
        row={Row}
        rowHeight={narrow ? 52 : 36}
        rowCount={total + 1}
        onOpen={setOpen}
        onEnd={onEnd}
        head={<Head />}
        foot={<Foot view={view} onRetry={() => void items.retry()} />}
      />
      <ItemDialog item={open === null ? undefined : items.get(open)} onClose={() => setOpen(null)} />
    </>
  );
}

function Foot({ view, onRetry }: { view: ItemsView; onRetry: () => void }) {
  if (view.phase === "failed") return <ProblemBox error={view.problem} onRetry={onRetry} />;
  return <p className="py-3 text-center text-xs text-muted">{view.complete ? "These are all." : "Loading more …"}</p>;
}

const COLUMNS = "grid items-center gap-3 px-3 sm:px-4 sm:grid-cols-[7.5rem_minmax(8rem,20rem)_minmax(0,1fr)]";

function Head() {
  return (
    <div role="row" aria-rowindex={1} className={`${COLUMNS} sticky top-0 z-10 h-8 border-y border-line bg-sunken text-xs font-semibold text-muted max-sm:sr-only`}>
      <HeadCell>State</HeadCell>
      <HeadCell>Key</HeadCell>
      <HeadCell>Error or result</HeadCell>
    </div>
  );
}

const BRIEF = 200;

/** A glimpse of any JSON, without making megabytes into text for it. */
export function briefOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value.slice(0, BRIEF);
  if (isExact(value)) return value.rawJSON;
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? "[]" : `[ ${value.length} ]`;
  const entries = Object.entries(value).slice(0, 5);
  return entries.map(([name, one]) => `${name}: ${isExact(one) ? one.rawJSON : typeof one === "object" && one !== null ? "…" : String(one).slice(0, 60)}`).join(", ");
}

function rowOf(items: ItemPages, narrow: boolean): ComponentType<GridRowProps> {
  return memo(function Row(props: GridRowProps) {
    const item = useSyncExternalStore(items.view.listen, () => items.get(props.id));
    if (item === undefined) return null;
    const { icon, colour } = LOOKS[item.state];
    const badge = (
      <span className={`inline-flex items-center gap-1.5 align-middle ${colour}`}>
        <Icon name={icon} />
        {item.state}
      </span>
    );
    const says = item.error === null ? briefOf(item.result) : item.error.message;
    const frame = "cursor-pointer border-b border-line text-sm hover:bg-hover focus-visible:bg-chosen";
    if (narrow) {
      return (
        <div {...gridRow(props)} data-item={item.key} data-state={item.state} className={`grid content-center px-3 ${frame}`}>
          <div role="gridcell" className="flex min-w-0 justify-between gap-2">
            <span className="truncate font-mono text-xs leading-5">{item.key}</span>
            {badge}
          </div>
          <Cell className="text-xs text-muted">{says}</Cell>
        </div>
      );
    }
    return (
      <div {...gridRow(props)} data-item={item.key} data-state={item.state} className={`${COLUMNS} ${frame}`}>
        <Cell>{badge}</Cell>
        <Cell className="font-mono text-xs">{item.key}</Cell>
        <Cell className="text-muted">{says}</Cell>
      </div>
    );
  });
}

function ItemDialog({ item, onClose }: { item: ItemRow | undefined; onClose: () => void }) {
  return (
    <Dialog open={item !== undefined} title="Item" onClose={onClose}>
      {item === undefined ? null : (
        <div className="grid gap-3">
          <p className="font-mono text-sm break-all">{item.key}</p>
          <p className={`inline-flex items-center gap-1.5 text-sm ${LOOKS[item.state].colour}`}>
            <Icon name={LOOKS[item.state].icon} />
            {item.state}
          </p>
          {item.error === null ? null : <Part title="Error" value={item.error} />}
          {item.result === null || item.result === undefined ? null : <Part title="Result" value={item.result} />}
          <Part title="Arguments" value={item.args} />
        </div>
      )}
    </Dialog>
  );
}

function Part({ title, value }: { title: string; value: unknown }) {
  return (
    <div className="grid gap-1">
      <h3 className="text-sm font-semibold">{title}</h3>
      <JsonView value={value} label={`${title.toLowerCase()} of the item`} />
    </div>
  );
}

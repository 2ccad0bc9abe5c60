// A table of any length as `role="grid"`: only rows in view are in the page, one of them is in the tab order, and the
// focus stays with its row (by id) while rows come and go above it. A page gives the component of one row.

import { useVirtualizer, type Range } from "@tanstack/react-virtual";
import {
  useCallback,
  useEffect,
  useImperativeHandle,
  useMemo,
  useRef,
  useState,
  type ComponentType,
  type HTMLAttributes,
  type KeyboardEvent,
  type ReactNode,
  type Ref,
} from "react";

/** Stable, so that a row is drawn anew only when something of it changed. */
export interface GridActions {
  readonly focused: (id: string) => void;
  readonly open: (id: string) => void;
}

export interface GridRowProps {
  readonly id: string;
  readonly index: number;
  readonly top: number;
  readonly height: number;
  /** The one in the tab order. */
  readonly active: boolean;
  readonly actions: GridActions;
}

export interface GridHandle {
  /** Moves the focus by so many rows. */
  move(step: number): void;
  /** The row that a shortcut acts upon. */
  active(): string | null;
  top(): void;
}

interface Props {
  readonly label: string;
  readonly ids: readonly string[];
  readonly row: ComponentType<GridRowProps>;
  readonly rowHeight: number;
  /** The columns' heads, a `HeadCell` each. */
  readonly head: ReactNode;
  /** All there are, when more are known than here. */
  readonly rowCount?: number | undefined;
  readonly onOpen: (id: string) => void;
  /** The last rows are in view. */
  readonly onEnd?: () => void;
  readonly onAtTop?: (atTop: boolean) => void;
  /** Below the last row. */
  readonly foot?: ReactNode;
  readonly handle?: Ref<GridHandle>;
}

const OVERSCAN_ROWS = 10;
/** So many rows before the end the next page is asked for. */
const END_ROWS = 30;

/** What the element of a row must carry. Put columns on it by class. */
export function gridRow({ id, index, top, height, active, actions }: GridRowProps): HTMLAttributes<HTMLDivElement> & { "data-row": string } {
  return {
    role: "row",
    "aria-rowindex": index + 2,
    "data-row": id,
    tabIndex: active ? 0 : -1,
    style: { position: "absolute", top: 0, left: 0, right: 0, height, transform: `translateY(${top}px)` },
    onFocus: () => actions.focused(id),
    onClick: (event) => {
      if ((event.target as Element).closest("a, button, input, label") === null) actions.open(id);
    },
  };
}

export function HeadCell({ children, className = "" }: { children?: ReactNode; className?: string }) {
  return (
    <div role="columnheader" className={`truncate ${className}`}>
      {children}
    </div>
  );
}

export function Cell({ children, className = "" }: { children?: ReactNode; className?: string }) {
  return (
    <div role="gridcell" className={`min-w-0 truncate ${className}`}>
      {children}
    </div>
  );
}

function stepOf(key: string, page: number): number | null {
  const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  return steps[key] ?? null;
}

function useFocusOfRows(ids: readonly string[], scroller: { current: HTMLDivElement | null }, show: (index: number) => void) {
  const [active, setActive] = useState<string | null>(null);
  const [wanted, setWanted] = useState<string | null>(null);
  const known = active === null ? -1 : ids.indexOf(active);
  useEffect(() => {
    if (wanted === null) return;
    // Rows out of view are drawn a frame after the scroller moved: then the effect comes again with them.
    const node = scroller.current?.querySelector<HTMLElement>(`[data-row="${CSS.escape(wanted)}"]`);
    if (node === null || node === undefined) return;
    node.focus({ preventScroll: true });
    setWanted(null);
  });
  const move = (step: number): void => {
    const from = known >= 0 ? known : step > 0 ? -1 : 0;
    const to = Math.min(ids.length - 1, Math.max(0, from + step));
    const id = ids[to];
    if (id === undefined) return;
    show(to);
    setActive(id);
    setWanted(id);
  };
  return { active: known >= 0 ? active : null, activeIndex: known, setActive, move };
}

export function Grid(props: Props) {
  const { ids, row: Row, rowHeight, onOpen, onEnd, onAtTop } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const activeIndexRef = useRef(-1);
  const virtual = useVirtualizer({
    count: ids.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    getItemKey: (index) => ids[index] ?? index,
    overscan: OVERSCAN_ROWS,
    rangeExtractor: useCallback((range: Range) => indexesOf(range, activeIndexRef.current), []),
  });
  const { active, activeIndex, setActive, move } = useFocusOfRows(ids, scroller, (index) => virtual.scrollToIndex(index));
  activeIndexRef.current = activeIndex;
  const items = virtual.getVirtualItems();

  useEffect(() => virtual.measure(), [rowHeight, virtual]);
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (ids.length > 0 && last >= ids.length - END_ROWS) onEnd?.();
  }, [last, ids.length, onEnd]);
  useImperativeHandle(props.handle, () => ({ move, active: () => active, top: () => virtual.scrollToOffset(0) }));

  const openNow = useRef(onOpen);
  openNow.current = onOpen;
  const actions = useMemo<GridActions>(() => ({ focused: setActive, open: (id) => openNow.current(id) }), [setActive]);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const visible = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / rowHeight) - 2);
    const step = stepOf(event.key, visible);
    if (step !== null) {
      event.preventDefault();
      move(step);
    } else if (event.key === "Enter" && active !== null && (event.target as Element).role === "row") {
      event.preventDefault();
      onOpen(active);
    }
  };
  const tabStop = active ?? ids[items[0]?.index ?? 0] ?? null;
  return (
    <div
      ref={scroller}
      onScroll={(event) => onAtTop?.(event.currentTarget.scrollTop < rowHeight)}
      className="relative min-h-0 flex-1 overflow-x-hidden overflow-y-auto bg-surface"
    >
      <div role="grid" aria-label={props.label} aria-rowcount={props.rowCount ?? ids.length + 1} onKeyDown={onKeyDown}>
        {props.head}
        <div role="rowgroup" className="relative" style={{ height: virtual.getTotalSize() }}>
          {items.map(({ index, start }) => {
            const id = ids[index];
            if (id === undefined) return null;
            return <Row key={id} id={id} index={index} top={start} height={rowHeight} active={id === tabStop} actions={actions} />;
          })}
        </div>
      </div>
      {props.foot}
    </div>
  );
}

/** Those in view, and the one with the focus wherever it is: what is not in the page cannot keep the focus. */
function indexesOf(range: Range, active: number): number[] {
  const first = Math.max(0, range.startIndex - range.overscan);
  const last = Math.min(range.count - 1, range.endIndex + range.overscan);
  const indexes = Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at);
  if (active >= 0 && active < first) indexes.unshift(active);
  if (active > last && active < range.count) indexes.push(active);
  return indexes;
}

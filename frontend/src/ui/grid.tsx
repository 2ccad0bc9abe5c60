// A table of any length as `role="grid"`: only rows in view are in the page, one of them is in the tab order, and the
// focus stays with its row (by id) while rows come and go above it. Rows have one height, so where each stands is
// arithmetic, and a frame costs the same with a million of them. A page gives the component of one row.

import {
  useCallback,
  useEffect,
  useImperativeHandle,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  type ComponentType,
  type HTMLAttributes,
  type KeyboardEvent,
  type ReactNode,
  type Ref,
  type RefObject,
} from "react";

/** The ids of all rows. An array is one. Undefined at a place: a row that is not here now, drawn as a gap. */
export interface RowIds {
  readonly length: number;
  at(index: number): string | undefined;
  indexOf(id: string): number;
}

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
  /** Moves the focus by so many rows. The row that has it then. */
  move(step: number): string | null;
  /** The row that a shortcut acts upon. */
  active(): string | null;
  top(): void;
  /** Puts the focus on the row in the tab order. */
  focus(): void;
}

interface Props {
  readonly label: string;
  readonly ids: RowIds;
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
  /** The rows in view, when these change. */
  readonly onRange?: (first: number, last: number) => void;
  /** A key that moved nothing and opened nothing, on the row with the focus. True: it was of use. */
  readonly onKey?: (event: KeyboardEvent, id: string | null) => boolean;
  /** Rows can be selected, several at once: their elements carry `aria-selected`. */
  readonly selectable?: boolean;
  /** Below the last row. */
  readonly foot?: ReactNode;
  readonly handle?: Ref<GridHandle>;
}

const OVERSCAN_ROWS = 10;
/** So many rows before the end the next page is asked for. */
const END_ROWS = 30;
/** Drawn before the height of the window is known. */
const FIRST_ROWS = 40;

/** What the element of a row must carry. Put columns on it by class. */
export function gridRow({ id, index, top, height, active, actions }: GridRowProps): HTMLAttributes<HTMLDivElement> & { "data-row": string } {
  return {
    role: "row",
    "aria-rowindex": index + 2,
    "data-row": id,
    tabIndex: active ? 0 : -1,
    // Contained: what changes in one row lays out no other.
    style: { position: "absolute", top: 0, left: 0, right: 0, height, contain: "strict", transform: `translateY(${top}px)` },
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

function useFocusOfRows(ids: RowIds, scroller: RefObject<HTMLDivElement | null>, show: (index: number) => void) {
  const [active, setActive] = useState<string | null>(null);
  const [wanted, setWanted] = useState<string | null>(null);
  const known = useMemo(() => (active === null ? -1 : ids.indexOf(active)), [ids, active]);
  useEffect(() => {
    if (wanted === null) return;
    // Rows out of view are drawn a frame after the scroller moved: then the effect comes again with them.
    const node = scroller.current?.querySelector<HTMLElement>(`[data-row="${CSS.escape(wanted)}"]`);
    if (node === null || node === undefined) return;
    node.focus({ preventScroll: true });
    setWanted(null);
  });
  const move = (step: number): string | null => {
    const from = known >= 0 ? known : step > 0 ? -1 : 0;
    const to = Math.min(ids.length - 1, Math.max(0, from + step));
    const id = ids.at(to);
    if (to < 0) return null;
    show(to);
    if (id === undefined) return null;
    setActive(id);
    setWanted(id);
    return id;
  };
  return { active: known >= 0 ? active : null, activeIndex: known, setActive, want: setWanted, move };
}

interface Span {
  readonly first: number;
  readonly last: number;
}

/** Which rows are in view; and keeps these where they are while others come and go above. */
function useSpan(scroller: RefObject<HTMLDivElement | null>, body: RefObject<HTMLDivElement | null>, ids: RowIds, rowHeight: number) {
  const [span, setSpan] = useState<Span>({ first: 0, last: FIRST_ROWS });
  const seen = useRef<{ readonly ids: RowIds; readonly rowHeight: number; readonly rows: readonly string[]; readonly rest: number } | null>(null);
  const look = useCallback(() => {
    const node = scroller.current;
    if (node === null) return;
    // The head stands above the rows, and sticks to the top.
    const first = Math.max(0, Math.floor(node.scrollTop / rowHeight));
    const last = first + Math.ceil(Math.max(node.clientHeight, rowHeight) / rowHeight);
    const rows = Array.from({ length: last - first }, (_, at) => ids.at(first + at)).filter((id) => id !== undefined);
    seen.current = { ids, rowHeight, rows, rest: node.scrollTop - first * rowHeight };
    setSpan((before) => (before.first === first && before.last === last ? before : { first, last }));
  }, [scroller, ids, rowHeight]);
  useLayoutEffect(() => {
    const node = scroller.current;
    const before = seen.current;
    if (node !== null && before !== null && before.ids !== ids && node.scrollTop >= rowHeight) {
      const stays = before.rows.findIndex((id) => ids.indexOf(id) >= 0);
      const id = before.rows[stays];
      const rest = before.rowHeight === rowHeight ? before.rest : 0;
      if (id !== undefined) node.scrollTop = (ids.indexOf(id) - stays) * rowHeight + rest;
    }
    look();
  }, [look, scroller, ids, rowHeight]);
  useEffect(() => {
    if (scroller.current === null || body.current === null) return;
    const observer = new ResizeObserver(look);
    observer.observe(scroller.current);
    return () => observer.disconnect();
  }, [look, scroller, body]);
  return { span, look };
}

/** Scrolls just as far as it must. */
function showRow(node: HTMLDivElement, index: number, rowHeight: number, headHeight: number): void {
  const top = index * rowHeight;
  const bottom = top + rowHeight + headHeight;
  if (top < node.scrollTop) node.scrollTop = top;
  else if (bottom > node.scrollTop + node.clientHeight) node.scrollTop = bottom - node.clientHeight;
}

export function Grid(props: Props) {
  const { ids, row: Row, rowHeight, onOpen, onEnd, onAtTop, onRange, onKey } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const { span, look } = useSpan(scroller, body, ids, rowHeight);
  const { active, activeIndex, setActive, want, move } = useFocusOfRows(ids, scroller, (index) => {
    if (scroller.current !== null) showRow(scroller.current, index, rowHeight, body.current?.offsetTop ?? 0);
  });
  const indexes = indexesOf(span, ids.length, activeIndex);
  useEffect(() => {
    if (ids.length > 0 && span.last >= ids.length - END_ROWS) onEnd?.();
  }, [span.last, ids.length, onEnd]);
  useEffect(() => onRange?.(span.first, span.last), [span, ids, onRange]);
  const tabStop = active ?? ids.at(span.first) ?? ids.at(0) ?? null;
  useImperativeHandle(props.handle, () => ({ move, active: () => active, top: () => scroller.current?.scrollTo({ top: 0 }), focus: () => want(tabStop) }));

  const openNow = useRef(onOpen);
  openNow.current = onOpen;
  const actions = useMemo<GridActions>(() => ({ focused: setActive, open: (id) => openNow.current(id) }), [setActive]);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (onKey?.(event, active) === true) return event.preventDefault();
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
  return (
    <div
      ref={scroller}
      onScroll={(event) => {
        look();
        onAtTop?.(event.currentTarget.scrollTop < rowHeight);
      }}
      className="relative min-h-0 flex-1 overflow-x-hidden overflow-y-auto bg-surface [overflow-anchor:none]"
    >
      <div role="grid" aria-label={props.label} aria-rowcount={props.rowCount ?? ids.length + 1} aria-multiselectable={props.selectable} onKeyDown={onKeyDown}>
        {props.head}
        <div ref={body} role="rowgroup" className="relative" style={{ height: ids.length * rowHeight }}>
          {indexes.map((index) => {
            const id = ids.at(index);
            if (id === undefined) return <Gap key={`gap ${index}`} index={index} rowHeight={rowHeight} />;
            return <Row key={id} id={id} index={index} top={index * rowHeight} height={rowHeight} active={id === tabStop} actions={actions} />;
          })}
        </div>
      </div>
      {props.foot}
    </div>
  );
}

/** The place of a row that is on its way. */
function Gap({ index, rowHeight }: { index: number; rowHeight: number }) {
  const style = { position: "absolute", left: 0, right: 0, height: rowHeight, transform: `translateY(${index * rowHeight}px)` } as const;
  return (
    <div role="row" aria-rowindex={index + 2} style={style} className="grid items-center border-b border-line px-3 sm:px-4">
      <div role="gridcell" className="text-sm text-muted">
        …
      </div>
    </div>
  );
}

/** Those in view, and the one with the focus wherever it is: what is not in the page cannot keep the focus. */
function indexesOf(span: Span, count: number, active: number): number[] {
  const last = Math.min(count - 1, span.last + OVERSCAN_ROWS);
  const first = Math.max(0, Math.min(span.first, last) - OVERSCAN_ROWS);
  const indexes = Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at);
  if (active >= 0 && active < first) indexes.unshift(active);
  if (active > last && active < count) indexes.push(active);
  return indexes;
}

// Lines of a log of any length: only those in view are drawn, and the end is kept in view as long as one follows.

import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useCallback, useEffect, useLayoutEffect, useRef, type KeyboardEvent } from "react";
import type { KeptLine, LogStream } from "../../api/types.gen.ts";
import { clock } from "../../ui/index.ts";
import { partsOf, withoutEscapes } from "./log-text.ts";

const LINE_PX = 20;
/** More of a line is in the file. */
const SHOWN = 4_000;
/** So near the end counts as at the end. */
const END_PX = 40;

interface Props {
  readonly lines: readonly KeptLine[];
  readonly count: number;
  readonly version: number;
  readonly sought: string;
  readonly wrap: boolean;
  readonly follow: boolean;
  readonly onFollow: (follow: boolean) => void;
}

/** To the sides it scrolls; the tabs keep what it does not need. */
function keepSideways(event: KeyboardEvent): void {
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") event.stopPropagation();
}

export function LogLines({ lines, count, version, sought, wrap, follow, onFollow }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE_PX,
    getItemKey: useCallback((index: number) => lines[index]?.n ?? index, [lines]),
    overscan: 20,
  });
  const height = virtual.getTotalSize();
  useLayoutEffect(() => {
    const node = scroller.current;
    if (follow && node !== null) node.scrollTop = node.scrollHeight;
  }, [follow, version, count, height]);
  const top = useRef(0);
  useEffect(() => {
    top.current = scroller.current?.scrollTop ?? 0;
  });
  const onScroll = (): void => {
    const node = scroller.current;
    if (node === null) return;
    const atEnd = node.scrollHeight - node.scrollTop - node.clientHeight < END_PX;
    // Upwards only a person scrolls; downwards new lines do as well.
    if (node.scrollTop < top.current - 1 && !atEnd && follow) onFollow(false);
    top.current = node.scrollTop;
  };
  return (
    <div
      ref={scroller}
      tabIndex={0}
      role="log"
      aria-live="off"
      aria-label="Lines of the log"
      onScroll={onScroll}
      onKeyDown={wrap ? undefined : keepSideways}
      className={`relative min-h-0 flex-1 overflow-y-auto bg-surface py-1 font-mono text-xs ${wrap ? "overflow-x-hidden" : "overflow-x-auto"}`}
    >
      <div className={`relative ${wrap ? "" : "min-w-max"}`} style={{ height }}>
        {virtual.getVirtualItems().map(({ index, start, key }) => {
          const line = lines[index];
          if (line === undefined) return null;
          return (
            <div
              key={key}
              ref={wrap ? virtual.measureElement : undefined}
              data-index={index}
              style={{ transform: `translateY(${start}px)` }}
              className={`absolute top-0 left-0 ${wrap ? "w-full" : "min-w-full"}`}
            >
              <Line line={line} sought={sought} wrap={wrap} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

const COLOURS: Readonly<Record<LogStream, string>> = { stdout: "text-muted", stderr: "text-warn", system: "text-running" };
const SHORT: Readonly<Record<LogStream, string>> = { stdout: "out", stderr: "err", system: "sys" };

const Line = memo(function Line({ line, sought, wrap }: { line: KeptLine; sought: string; wrap: boolean }) {
  const { n, at, stream } = line;
  const text = withoutEscapes(line.text);
  const shown = text.length > SHOWN ? text.slice(0, SHOWN) : text;
  return (
    <div data-line={n} className="flex min-h-5 gap-3 px-3 leading-5 hover:bg-hover sm:px-4">
      <span className="w-12 shrink-0 text-right text-muted select-none max-sm:hidden">{n}</span>
      <time dateTime={at} title={at} className="shrink-0 text-muted max-sm:hidden">
        {clock(new Date(at), new Date())}
      </time>
      <span title={stream} className={`w-6 shrink-0 ${COLOURS[stream]}`}>
        {SHORT[stream]}
      </span>
      <span className={`min-w-0 flex-1 ${wrap ? "break-words whitespace-pre-wrap" : "whitespace-pre"} ${stream === "stderr" ? "text-warn" : ""}`}>
        {partsOf(shown, sought).map(({ text: part, found }, index) =>
          found ? (
            <mark key={index} className="rounded-sm bg-chosen text-ink">
              {part}
            </mark>
          ) : (
            part
          ),
        )}
        {text.length > SHOWN ? <span className="text-muted"> … {text.length - SHOWN} more characters</span> : null}
      </span>
    </div>
  );
});

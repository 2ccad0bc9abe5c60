// How rows reach the selection, and the boxes that choose.

import { createContext, useCallback, useContext, useEffect, useRef, useSyncExternalStore, type MouseEvent } from "react";
import type { Ids } from "../../store/index.ts";
import { Selection } from "./selection.ts";

export interface Choosing {
  readonly selection: Selection;
  /** The rows of now. */
  readonly list: () => Ids;
}

/** Null: nothing can be selected, as in the past. */
export const ChoosingContext = createContext<Choosing | null>(null);

export function useChosen(id: string): boolean {
  const choosing = useContext(ChoosingContext);
  const listen = useCallback((hear: () => void) => choosing?.selection.listen(hear) ?? (() => {}), [choosing]);
  return useSyncExternalStore(listen, () => choosing?.selection.has(id) ?? false);
}

const BOX = "size-3.5 accent-(--accent)";
/** As large as a finger wants it, and no row opens beside the box. */
const AROUND = "-m-2 flex items-center p-2 max-sm:-m-3 max-sm:p-3";

export function RowBox({ id, name }: { id: string; name: string }) {
  const choosing = useContext(ChoosingContext);
  const chosen = useChosen(id);
  if (choosing === null) return <span />;
  const { selection, list } = choosing;
  const click = (event: MouseEvent): void => (event.shiftKey ? selection.range(id, list()) : selection.toggle(id, list()));
  return (
    <label className={AROUND}>
      <input type="checkbox" tabIndex={-1} aria-label={`Select ${name}`} checked={chosen} onClick={click} onChange={() => {}} className={BOX} />
    </label>
  );
}

/** All that are loaded, or none. */
export function HeadBox() {
  const choosing = useContext(ChoosingContext);
  const box = useRef<HTMLInputElement>(null);
  const listen = useCallback((hear: () => void) => choosing?.selection.listen(hear) ?? (() => {}), [choosing]);
  const some = useSyncExternalStore(listen, () => {
    const selected = choosing?.selection.get();
    return selected === undefined ? 0 : selected.all ? Infinity : selected.ids.size;
  });
  const loaded = choosing?.list().length ?? 0;
  useEffect(() => {
    if (box.current !== null) box.current.indeterminate = some > 0 && some < loaded;
  });
  if (choosing === null) return null;
  const all = some > 0 && some >= loaded;
  const click = (): void => (all ? choosing.selection.clear() : choosing.selection.loaded(choosing.list()));
  return (
    <label className={AROUND}>
      <input ref={box} type="checkbox" aria-label="Select all that are loaded" checked={all} onChange={click} className={BOX} />
    </label>
  );
}

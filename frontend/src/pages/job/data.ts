// The stores of this page: made with a part of it, open as long as it is drawn.

import { useEffect, useState } from "react";
import { listEvents, listItems } from "../../api/index.ts";
import type { ItemState } from "../../api/types.gen.ts";
import { useReadable, useWorld } from "../../hooks/index.ts";
import { ItemPages, JobEvents, LogTail, type EventsView, type ItemsView, type LogView } from "../../store/index.ts";

export function useLog(id: string): LogView {
  const world = useWorld();
  const [log] = useState(() => new LogTail({ subscribe: (wanted, hear) => world.sync.subscribe(wanted, hear), frame: world.frame }, id));
  useEffect(() => {
    log.open();
    return () => log.close();
  }, [log]);
  return useReadable(log.view);
}

export function useEvents(id: string, at: number | undefined): { readonly view: EventsView; readonly more: () => void } {
  const world = useWorld();
  const [events] = useState(
    () =>
      new JobEvents(
        {
          subscribe: (wanted, hear) => world.sync.subscribe(wanted, hear),
          frame: world.frame,
          page: (cursor, limit, signal) => world.overRestarts(signal, () => listEvents(world.api, id, { cursor, limit }, { signal })),
        },
        id,
        at,
      ),
  );
  useEffect(() => {
    events.open();
    return () => events.close();
  }, [events]);
  return { view: useReadable(events.view), more: () => events.more() };
}

/** Draw it with a key of state and moment: it does not change them. */
export function useItems(id: string, state: ItemState | undefined, at: number | undefined): { readonly items: ItemPages; readonly view: ItemsView } {
  const world = useWorld();
  const [items] = useState(
    () =>
      new ItemPages(
        {
          subscribe: (wanted, hear) => world.sync.subscribe(wanted, hear),
          frame: world.frame,
          page: (which, cursor, limit, signal) => world.overRestarts(signal, () => listItems(world.api, id, { state: which, cursor, limit, at }, { signal })),
        },
        id,
        state,
        at === undefined,
      ),
  );
  useEffect(() => {
    items.open();
    return () => items.close();
  }, [items]);
  return { items, view: useReadable(items.view) };
}

// The stores of this page: made with a part of it, open as long as it is drawn.

import { useEffect, useState } from "react";
import { getTree, listEvents, listItems } from "../../api/index.ts";
import type { ItemState, JobRow } from "../../api/types.gen.ts";
import { useReadable, useWorld } from "../../hooks/index.ts";
import { ItemPages, JobEvents, LogTail, type EventsView, type ItemsView, type LogView, type World } from "../../store/index.ts";
import { EpochChanged } from "../../sync/index.ts";

/** Asks again what a restart of the server ended, once it is known that its log is still ours. */
async function overRestarts<T>(world: World, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const { epoch, log } = world.age.get();
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof EpochChanged) || signal.aborted) throw error;
      await nextEpoch(world, epoch, signal);
      if (world.age.get().log !== log) throw error;
    }
  }
}

function nextEpoch(world: World, epoch: string | null, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const look = (): void => {
      if (world.age.get().epoch === epoch && !signal.aborted) return;
      end();
      done();
    };
    const end = world.age.listen(look);
    signal.addEventListener("abort", look, { once: true });
    look();
  });
}

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
          page: (cursor, limit, signal) => overRestarts(world, signal, () => listEvents(world.api, id, { cursor, limit }, { signal })),
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
          page: (which, cursor, limit, signal) => overRestarts(world, signal, () => listItems(world.api, id, { state: which, cursor, limit, at }, { signal })),
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

/** Parents whose children are followed; of others the rows are as they were read. */
const PARENTS_MAX = 20;

/** Keeps rows of a tree fresh in the row store, and says that there is a job that the tree does not have. */
export function useFreshTree(rows: readonly JobRow[], live: boolean, onNew: () => void): void {
  const world = useWorld();
  const parents = [...new Set(rows.map((row) => row.parent_id ?? row.id))].slice(0, PARENTS_MAX).join(" ");
  const known = rows.map(({ id }) => id).join(" ");
  useEffect(() => {
    if (!live || parents === "") return;
    const ids = new Set(known.split(" "));
    const ends = parents.split(" ").flatMap((parent) => {
      const list = world.list({ parent_id: parent });
      const end = list.view.listen(() => {
        if ([...list.view.get().ids].some((id) => !ids.has(id))) onNew();
      });
      return [end, world.open(list), world.follow(parent)];
    });
    return () => ends.forEach((end) => end());
  }, [world, parents, known, live, onNew]);
}

export { getTree };

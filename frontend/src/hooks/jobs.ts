// Lists of jobs, and single rows, for components.

import { useCallback, useEffect, useLayoutEffect, useRef, useState, useSyncExternalStore } from "react";
import type { JobFilter } from "../api/index.ts";
import type { JobRow } from "../api/types.gen.ts";
import type { JobList, ListView, RowStore } from "../store/index.ts";
import { useReadable, useWorld } from "./world.tsx";

/** A live list of a component's own. Another filter keeps the rows on view until the new ones come. */
export function useJobs(filter: JobFilter): { readonly list: JobList; readonly view: ListView } {
  const world = useWorld();
  const past = filter.at !== undefined;
  // By name: an address has more than what a list is narrowed by.
  const { state, kind, queue, tag, parent_id, q, at } = filter;
  const key = JSON.stringify({ state, kind, queue, tag, parent_id, q, at });
  // Rows of the past and of now are in different stores, so a list is of one of them.
  const [own, setOwn] = useState(() => ({ list: world.list(filter), past }));
  const { list } = own;
  const asked = useRef(key);
  useEffect(() => world.open(list), [world, list]);
  useLayoutEffect(() => {
    if (own.past !== past) {
      asked.current = key;
      setOwn({ list: world.list(JSON.parse(key) as JobFilter), past });
    } else if (asked.current !== key) {
      asked.current = key;
      list.setFilter(JSON.parse(key) as JobFilter);
    }
  }, [world, own, list, past, key]);
  return { list, view: useReadable(list.view) };
}

/** A row that somebody holds: a list on this page, or `useJob`. As of the moment that the page shows. */
export function useJobRow(id: string): JobRow | undefined {
  const { rows, pastRows, at } = useWorld();
  return useRowOf(useReadable(at) === null ? rows : pastRows, id);
}

/** A row as it is now, whatever moment the page shows. */
export function useLiveRow(id: string): JobRow | undefined {
  return useRowOf(useWorld().rows, id);
}

function useRowOf(rows: RowStore, id: string): JobRow | undefined {
  const listen = useCallback((hear: () => void) => rows.listen(id, hear), [rows, id]);
  return useSyncExternalStore(listen, () => rows.get(id));
}

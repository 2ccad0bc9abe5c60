// Lists of jobs, and single rows, for components.

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { JobFilter } from "../api/index.ts";
import type { JobRow } from "../api/types.gen.ts";
import type { JobList, ListView } from "../store/index.ts";
import { useReadable, useWorld } from "./world.tsx";

/** A live list of a component's own. Another filter keeps the rows on view until the new ones come. */
export function useJobs(filter: JobFilter): { readonly list: JobList; readonly view: ListView } {
  const world = useWorld();
  const [list] = useState(() => world.list(filter));
  const key = JSON.stringify(filter);
  const asked = useRef(key);
  useEffect(() => world.open(list), [world, list]);
  useEffect(() => {
    if (asked.current === key) return;
    asked.current = key;
    list.setFilter(JSON.parse(key) as JobFilter);
  }, [list, key]);
  return { list, view: useReadable(list.view) };
}

/** A row that somebody holds: a list on this page, or `useJob`. */
export function useJobRow(id: string): JobRow | undefined {
  const { rows } = useWorld();
  const listen = useCallback((hear: () => void) => rows.listen(id, hear), [rows, id]);
  return useSyncExternalStore(listen, () => rows.get(id));
}

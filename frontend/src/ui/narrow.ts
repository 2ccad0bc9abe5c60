// Whether the window is too narrow for columns: rows become cards. Usually that is a phone, the same bound as `sm` in
// style.css; a table of many words says more.

import { useCallback, useSyncExternalStore } from "react";

const PHONE_REM = 40;

export function useNarrow(below_rem = PHONE_REM): boolean {
  const query = `(width < ${below_rem}rem)`;
  const listen = useCallback(
    (hear: () => void) => {
      const list = matchMedia(query);
      list.addEventListener("change", hear);
      return () => list.removeEventListener("change", hear);
    },
    [query],
  );
  return useSyncExternalStore(listen, () => matchMedia(query).matches);
}

// Whether the window is as narrow as a phone: rows become cards of two lines. The same bound as `sm` in style.css.

import { useSyncExternalStore } from "react";

const query = (): MediaQueryList => matchMedia("(width < 40rem)");

function listen(hear: () => void): () => void {
  const list = query();
  list.addEventListener("change", hear);
  return () => list.removeEventListener("change", hear);
}

export function useNarrow(): boolean {
  return useSyncExternalStore(listen, () => query().matches);
}

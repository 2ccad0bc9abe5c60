// Whether the page shows the present or a moment of the past, where nothing can be changed.

import { useReadable, useWorld } from "./world.tsx";

export interface Past {
  /** The event after which things are shown; null: the present. */
  readonly at: number | null;
  /** Why nothing can be done, for the title of what is disabled: `disabled={reason !== undefined} title={reason}`. */
  readonly reason: string | undefined;
}

export const PAST_REASON = "This is the past: go back to live to change anything";

export function usePast(): Past {
  const at = useReadable(useWorld().at);
  return { at, reason: at === null ? undefined : PAST_REASON };
}

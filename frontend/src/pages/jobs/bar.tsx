// What can be done to what is selected. It floats above the list's foot, so that no row moves when it comes.

import type { Action } from "../../api/types.gen.ts";
import { useReadable } from "../../hooks/index.ts";
import { Button, IconButton } from "../../ui/index.ts";
import type { Selection } from "./selection.ts";

interface Props {
  readonly selection: Selection;
  /** All rows of the list are here. */
  readonly complete: boolean;
  /** How many match the filter, if the server counts by it. */
  readonly matching: number | null;
  readonly onAct: (action: Action) => void;
}

export function SelectionBar({ selection, complete, matching, onAct }: Props) {
  const { ids, all } = useReadable(selection);
  if (!all && ids.size === 0) return null;
  const total = matching === null ? "All" : matching.toLocaleString("en");
  return (
    <div
      role="region"
      aria-label="Selected jobs"
      className="absolute inset-x-0 bottom-3 z-20 mx-auto flex w-max max-w-[calc(100%-1.5rem)] flex-wrap items-center gap-x-3 gap-y-2 rounded-lg border border-line bg-surface py-1.5 pr-1.5 pl-3 shadow-lg"
    >
      <span className="text-sm font-medium" aria-live="polite">
        {all ? `${matching === null ? "All" : `All ${total}`} that match` : `${ids.size.toLocaleString("en")} selected`}
      </span>
      {!all && !complete ? (
        <Button look="quiet" onClick={() => selection.everything()} className="text-accent">
          Select {matching === null ? "all" : `all ${total}`} that match
        </Button>
      ) : null}
      <span className="flex items-center gap-1.5">
        <Button icon="retryable" onClick={() => onAct("retry")}>
          Retry
        </Button>
        <Button icon="cancelled" look="danger" onClick={() => onAct("cancel")}>
          Cancel
        </Button>
        <IconButton icon="close" label="Select none" onClick={() => selection.clear()} />
      </span>
    </div>
  );
}

// One notice. It goes by itself if it says so, but not while somebody points at it or has the focus in it.

import { useEffect, useState } from "react";
import { IconButton } from "./button.tsx";
import { Icon } from "./icon.tsx";

const ICONS = { info: "info", success: "completed", warning: "warning", error: "failed" } as const;
const COLOURS = { info: "text-running", success: "text-good", warning: "text-warn", error: "text-bad" } as const;

interface Props {
  readonly tone: keyof typeof ICONS;
  readonly title: string;
  readonly detail: string | null;
  readonly stays_ms: number | null;
  readonly more?: { readonly label: string; readonly run: () => void } | undefined;
  readonly onDismiss: () => void;
}

export function Toast({ tone, title, detail, stays_ms, more, onDismiss }: Props) {
  const [held, setHeld] = useState(false);
  useEffect(() => {
    if (held || stays_ms === null) return;
    const timer = setTimeout(onDismiss, stays_ms);
    return () => clearTimeout(timer);
  }, [held, stays_ms, onDismiss]);
  return (
    <div
      onPointerEnter={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
      className="pointer-events-auto flex items-start gap-2 rounded-md border border-line bg-surface py-1.5 pr-1.5 pl-3 shadow-lg"
    >
      <Icon name={ICONS[tone]} className={`mt-1.5 ${COLOURS[tone]}`} />
      <div className="min-w-0 flex-1 py-1">
        <p className="text-sm font-medium break-words">{title}</p>
        {detail === null ? null : <p className="text-sm break-words text-muted">{detail}</p>}
        {more === undefined ? null : (
          <button type="button" onClick={more.run} className="mt-1 text-sm text-accent underline underline-offset-2">
            {more.label}
          </button>
        )}
      </div>
      <IconButton icon="close" label="Dismiss" onClick={onDismiss} />
    </div>
  );
}

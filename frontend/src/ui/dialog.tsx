// A modal dialog: the browser's own, which traps the focus, gives it back, and closes on Esc.

import { useEffect, useId, useLayoutEffect, useRef, type ReactNode } from "react";
import { IconButton } from "./button.tsx";

interface Props {
  readonly open: boolean;
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  /** Buttons, the main one last. What carries `data-first` has the focus at the beginning. */
  readonly foot?: ReactNode;
}

export function Dialog({ open, title, onClose, children, foot }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const node = dialog.current;
    if (node === null || node.open === open) return;
    if (!open) return node.close();
    node.showModal();
    // The browser would begin at the first button, which closes it.
    node.querySelector<HTMLElement>("[data-first]")?.focus();
  }, [open]);
  // One that is taken away while it is open gives the focus back only when it was closed before.
  useLayoutEffect(() => {
    const node = dialog.current;
    return () => node?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClose={onClose}
      onClick={(event) => {
        // Beside the sheet is the backdrop, which is the dialog's own.
        if (event.target === dialog.current) onClose();
      }}
      className="w-[min(36rem,calc(100vw-1.5rem))] rounded-lg border border-line bg-surface p-0 shadow-xl"
    >
      {open ? (
        <div>
          <header className="flex items-center justify-between gap-2 border-b border-line py-2 pr-2 pl-4">
            <h2 id={id} className="text-base font-semibold">
              {title}
            </h2>
            <IconButton icon="close" label="Close" onClick={onClose} />
          </header>
          <div className="max-h-[70dvh] overflow-auto px-4 py-3">{children}</div>
          {foot === undefined ? null : <footer className="flex justify-end gap-2 border-t border-line px-4 py-3">{foot}</footer>}
        </div>
      ) : null}
    </dialog>
  );
}

// A button that opens a short list of things to do. Arrow keys move, Esc closes and gives the focus back.

import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import { buttonClass } from "./button.tsx";
import { Icon, type IconName } from "./icon.tsx";

export interface MenuItem {
  readonly label: string;
  readonly icon?: IconName;
  readonly chosen?: boolean;
  readonly disabled?: boolean;
  readonly run: () => void;
}

export function Menu({ label, icon, items, children }: { label: string; icon?: IconName; items: readonly MenuItem[]; children?: ReactNode }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const entries = (): HTMLButtonElement[] => [...(root.current?.querySelectorAll<HTMLButtonElement>("[role^=menuitem]:not(:disabled)") ?? [])];

  useEffect(() => {
    if (!open) return;
    entries()[0]?.focus();
    const away = (event: PointerEvent): void => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [open]);

  // The focus goes back first, so that a dialog that an entry opens gives it back to here.
  const close = (): void => {
    setOpen(false);
    button.current?.focus();
  };

  const move = (event: KeyboardEvent): void => {
    if (event.key === "Escape" && open) {
      event.stopPropagation();
      close();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || !open) return;
    event.preventDefault();
    const all = entries();
    all.at((all.indexOf(document.activeElement as HTMLButtonElement) + step) % all.length)?.focus();
  };

  return (
    <div ref={root} className="relative" onKeyDown={move}>
      <button
        ref={button}
        type="button"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        aria-label={label}
        title={label}
        onClick={() => setOpen(!open)}
        className={children === undefined ? `${buttonClass("quiet")} w-8 px-0` : buttonClass("plain")}
      >
        {icon === undefined ? null : <Icon name={icon} />}
        {children}
      </button>
      {open ? (
        <div id={id} role="menu" aria-label={label} className="absolute right-0 z-30 mt-1 min-w-40 rounded-md border border-line bg-surface p-1 shadow-lg">
          {items.map((item) => (
            <Entry key={item.label} item={item} done={close} />
          ))}
        </div>
      ) : null}
    </div>
  );
}

function Entry({ item, done }: { item: MenuItem; done: () => void }) {
  const choice = item.chosen === undefined ? {} : { "aria-checked": item.chosen };
  return (
    <button
      type="button"
      role={item.chosen === undefined ? "menuitem" : "menuitemradio"}
      {...choice}
      tabIndex={-1}
      disabled={item.disabled}
      onClick={() => {
        done();
        item.run();
      }}
      className={`flex w-full items-center gap-2 rounded px-2 py-1.5 text-left text-sm hover:bg-hover disabled:opacity-50 ${item.chosen === true ? "font-semibold text-accent" : ""}`}
    >
      {item.icon === undefined ? null : <Icon name={item.icon} />}
      {item.label}
    </button>
  );
}

// Buttons, and what looks like one. One main button a view; `danger` for what cannot be undone.

import type { ButtonHTMLAttributes, ReactNode } from "react";
import { Icon, type IconName } from "./icon.tsx";

type Look = "plain" | "main" | "danger" | "quiet";

const LOOKS: Readonly<Record<Look, string>> = {
  plain: "border border-line bg-surface hover:bg-hover",
  main: "border border-transparent bg-accent text-on-accent hover:bg-[color-mix(in_srgb,var(--accent),var(--ink)_15%)]",
  danger: "border border-line bg-surface text-bad hover:bg-hover",
  quiet: "border border-transparent text-muted hover:bg-hover hover:text-ink",
};

export function buttonClass(look: Look = "plain"): string {
  return `inline-flex h-8 shrink-0 items-center justify-center gap-1.5 whitespace-nowrap rounded-md px-2.5 text-sm font-medium disabled:opacity-50 disabled:pointer-events-none ${LOOKS[look]}`;
}

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly look?: Look;
  readonly icon?: IconName;
  readonly children?: ReactNode;
}

export function Button({ look = "plain", icon, children, className = "", ...rest }: Props) {
  return (
    <button type="button" {...rest} className={`${buttonClass(look)} ${className}`}>
      {icon === undefined ? null : <Icon name={icon} />}
      {children}
    </button>
  );
}

/** An icon alone; `label` says what it does. */
export function IconButton({ icon, label, className = "", ...rest }: Omit<Props, "children" | "look"> & { icon: IconName; label: string }) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      {...rest}
      className={`inline-flex size-8 shrink-0 items-center justify-center rounded-md text-muted hover:bg-hover hover:text-ink disabled:opacity-50 ${className}`}
    >
      <Icon name={icon} />
    </button>
  );
}

// The frame of a page: its title, what can be done there, and a body that scrolls (`scroll`) or that fills the height.

import { useEffect, type ReactNode } from "react";

interface Props {
  readonly title: string;
  /** Instead of the title in the head, for a page that has something better to show there. */
  readonly head?: ReactNode;
  readonly actions?: ReactNode;
  /** The body scrolls by itself when false: a grid does. */
  readonly scroll?: boolean;
  readonly children: ReactNode;
}

export function Page({ title, head, actions, scroll = true, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Daybook`;
  }, [title]);
  return (
    <>
      <div className="flex min-h-12 shrink-0 items-center gap-x-3 gap-y-2 border-b border-line px-3 py-2 max-md:flex-wrap sm:px-4">
        <h1 className={head === undefined ? "text-base font-semibold" : "sr-only"}>{title}</h1>
        {head}
        {actions === undefined ? null : <div className={`ml-auto flex items-center gap-2 max-sm:flex-wrap ${head === undefined ? "max-sm:grow max-sm:justify-between max-sm:[&>:only-child]:ml-auto" : "max-sm:w-full"}`}>{actions}</div>}
      </div>
      {scroll ? <div className="min-h-0 flex-1 overflow-y-auto px-3 py-4 sm:px-4">{children}</div> : children}
    </>
  );
}

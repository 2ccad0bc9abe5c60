// One registry of keys for the whole page: single keys, and two in a row ("g j"). Off while one types or a dialog is
// open, and switched off as a whole for those whose software speaks in keys (WCAG 2.1.4).

import { useEffect, useRef } from "react";
import { Signal } from "../store/index.ts";

export interface Shortcut {
  /** As in `KeyboardEvent.key`; two with a space between. */
  readonly keys: string;
  readonly label: string;
  /** Under which heading the help lists it. */
  readonly group: string;
  readonly run: () => void;
}

/** How long the second key may take. */
const SECOND_KEY_MS = 1_500;
const OFF_KEY = "daybook:shortcuts";

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select") !== null;
}

function readOn(): boolean {
  try {
    return localStorage.getItem(OFF_KEY) !== "off";
  } catch {
    return true;
  }
}

export class Shortcuts {
  readonly all = new Signal<readonly Shortcut[]>([]);
  readonly on = new Signal(true);
  #first: { readonly key: string; readonly at: number } | null = null;

  /** The latest of the same keys wins: a page's over the shell's. Returns what takes it back. */
  register(shortcut: Shortcut): () => void {
    this.all.set([...this.all.get(), shortcut]);
    return () => this.all.set(this.all.get().filter((one) => one !== shortcut));
  }

  switch(on: boolean): void {
    try {
      if (on) localStorage.removeItem(OFF_KEY);
      else localStorage.setItem(OFF_KEY, "off");
    } catch {
      // Then it lasts as long as the page.
    }
    this.on.set(on);
  }

  /** Whether the key was one of ours. */
  handle(event: KeyboardEvent): boolean {
    if (!this.on.get() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return false;
    if (isTyping(event.target) || document.querySelector("dialog[open]") !== null) return false;
    const first = this.#first !== null && event.timeStamp - this.#first.at < SECOND_KEY_MS ? this.#first.key : null;
    this.#first = null;
    const found = first === null ? undefined : this.#find(`${first} ${event.key}`);
    const shortcut = found ?? this.#find(event.key);
    if (shortcut !== undefined) {
      shortcut.run();
      return true;
    }
    if (this.all.get().some(({ keys }) => keys.startsWith(`${event.key} `))) {
      this.#first = { key: event.key, at: event.timeStamp };
      return true;
    }
    return false;
  }

  #find(keys: string): Shortcut | undefined {
    return this.all.get().findLast((one) => one.keys === keys);
  }
}

export const shortcuts = new Shortcuts();

export function startShortcuts(): void {
  shortcuts.on.set(readOn());
  addEventListener("keydown", (event) => {
    if (shortcuts.handle(event)) event.preventDefault();
  });
}

/** A key of a component's own, as long as it is drawn. `run` may change at every render. */
export function useShortcut(keys: string, label: string, group: string, run: () => void, on = true): void {
  const latest = useRef(run);
  latest.current = run;
  useEffect(() => (on ? shortcuts.register({ keys, label, group, run: () => latest.current() }) : undefined), [keys, label, group, on]);
}

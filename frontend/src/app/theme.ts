// Light, dark, or as the system has it. Chosen once for all tabs; public/theme.js applies it before the first paint.

import { Signal } from "../store/index.ts";

export type Theme = "light" | "dark" | "system";
const KEY = "daybook:theme";

function read(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

function apply(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export const theme = new Signal<Theme>("system");

export function chooseTheme(chosen: Theme): void {
  try {
    if (chosen === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen);
  } catch {
    // Storage that a privacy setting forbids: then it lasts as long as the page.
  }
  apply(chosen);
  theme.set(chosen);
}

/** Also what another tab chooses. */
export function startTheme(): void {
  theme.set(read());
  addEventListener("storage", (event) => {
    if (event.key !== KEY && event.key !== null) return;
    apply(read());
    theme.set(read());
  });
}

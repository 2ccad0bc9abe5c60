// What is the same on every page: the head with the ways to the pages and the pill, the strip of active jobs, notices,
// help. The page fills what is left; it scrolls by itself, so that a long table keeps its head.

import { Link, Outlet, useNavigate, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useReadable, useWorld } from "../hooks/index.ts";
import { buttonClass, Icon, IconButton, Menu, Moment } from "../ui/index.ts";
import { Help } from "./help.tsx";
import { Nav } from "./nav.tsx";
import { NoticeRegion } from "./notices.tsx";
import { Pill } from "./pill.tsx";
import { useShortcut } from "./shortcuts.ts";
import { Strip } from "./strip/strip.tsx";
import { chooseTheme, theme, type Theme } from "./theme.ts";
import { useMoment } from "./moment.ts";

const Aftermath = lazy(() => import("./aftermath.tsx"));
const TravelBar = lazy(() => import("../travel/bar.tsx"));

const THEMES = [
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
  { value: "system", label: "As the system" },
] as const satisfies readonly { value: Theme; label: string }[];

/** What had the focus may go with the page that it was on: then the next page has it, not nothing. */
function useKeptFocus(): void {
  const there = useRouterState({ select: ({ resolvedLocation }) => resolvedLocation?.href });
  const before = useRef(there);
  useEffect(() => {
    // When the first page is loaded, Tab begins at the head as everywhere.
    const moved = before.current !== undefined && before.current !== there;
    if (moved && document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
    before.current = there;
  }, [there]);
}

export function Shell() {
  const [help, setHelp] = useState(false);
  const navigate = useNavigate();
  const { at, lookBack } = useMoment();
  const world = useWorld();
  const shown = useReadable(world.at);
  const moment = useReadable(world.moment);
  const looked = useReadable(world.aftermath.looked);
  useKeptFocus();
  useShortcut("t", "Look back in time", "Everywhere", lookBack);
  useShortcut("?", "This help", "Everywhere", () => setHelp(true));
  useShortcut("g n", "Submit a job", "Go to", () => void navigate({ to: "/submit" }));
  return (
    <div className={`flex h-dvh flex-col overflow-y-auto ${at === null ? "" : "border-4 border-amber"}`} data-at={at ?? undefined}>
      <a href="#main" className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-md focus:bg-surface focus:px-3 focus:py-2">
        Skip to the page
      </a>
      <header className="flex h-12 shrink-0 items-center gap-2 border-b border-line bg-surface px-3 sm:gap-4 sm:px-4">
        <Link to="/jobs" className="flex items-center gap-2 font-semibold" activeProps={{}}>
          <img src="/favicon.svg" alt="" width="20" height="20" />
          <span className="max-md:sr-only">Daybook</span>
        </Link>
        <Nav />
        <div className="ml-auto flex items-center gap-1 sm:gap-2">
          <Pill />
          <Link to="/submit" className={buttonClass("main")} aria-label="Submit a job">
            <Icon name="submit" />
            <span className="max-md:hidden">Submit</span>
          </Link>
          {at === null ? <IconButton icon="travel" label="Look back in time (t)" onClick={lookBack} /> : null}
          <ThemeMenu />
          <IconButton icon="help" label="Keyboard help" onClick={() => setHelp(true)} className="max-sm:hidden" />
        </div>
      </header>
      <Strip />
      {/* The world forgets the moment of another log at once, the address a little later. */}
      {at === null || shown === null ? null : (
        <Suspense fallback={<div className="h-32 shrink-0" />}>
          <TravelBar at={at} />
        </Suspense>
      )}
      {/* In a low window, or a large print, the whole scrolls: a list needs some rows to be one. */}
      <main id="main" tabIndex={-1} className="flex min-h-80 flex-1 flex-col [@media(height<30rem)]:min-h-112 outline-none max-sm:mb-13">
        <Moment value={moment}>
          <Outlet />
        </Moment>
      </main>
      <NoticeRegion />
      {looked ? (
        <Suspense fallback={null}>
          <Aftermath />
        </Suspense>
      ) : null}
      <Help open={help} onClose={() => setHelp(false)} />
    </div>
  );
}

function ThemeMenu() {
  const chosen = useReadable(theme);
  return (
    <Menu
      label="Theme"
      icon={chosen}
      items={THEMES.map(({ value, label }) => ({ label, icon: value, chosen: value === chosen, run: () => chooseTheme(value) }))}
    />
  );
}

// All routes. Each page is a chunk of its own; `?at=` goes along from page to page.

import { createBrowserHistory, createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, redirect, retainSearchParams } from "@tanstack/react-router";
import { Empty, Loading, ProblemBox } from "../ui/index.ts";
import { Entries } from "./entries.ts";
import { parseSearch, readAt, readHistory, readJob, readJobs, readSubmit, stringifySearch, type AtSearch } from "./search.ts";
import { Shell } from "./shell.tsx";

const root = createRootRouteWithContext<{ readonly entries: Entries }>()({
  component: Shell,
  validateSearch: readAt,
  search: { middlewares: [retainSearchParams<AtSearch>(["at"])] },
  // For pages about one job: in another log nothing is asked about it.
  beforeLoad: ({ context, location }) => ({ openedIn: context.entries.openedIn(location) }),
  notFoundComponent: () => <Empty title="There is no such page" />,
});

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/jobs", replace: true });
  },
});

const jobs = createRoute({
  getParentRoute: () => root,
  path: "/jobs",
  validateSearch: readJobs,
  component: lazyRouteComponent(() => import("../pages/jobs/page.tsx"), "JobsPage"),
});

const job = createRoute({
  getParentRoute: () => root,
  path: "/jobs/$id",
  validateSearch: readJob,
  component: lazyRouteComponent(() => import("../pages/job/page.tsx"), "JobPage"),
});

const submit = createRoute({
  getParentRoute: () => root,
  path: "/submit",
  validateSearch: readSubmit,
  component: lazyRouteComponent(() => import("../pages/submit/page.tsx"), "SubmitPage"),
});

const queues = createRoute({
  getParentRoute: () => root,
  path: "/queues",
  component: lazyRouteComponent(() => import("../pages/queues/page.tsx"), "QueuesPage"),
});

const workers = createRoute({
  getParentRoute: () => root,
  path: "/workers",
  component: lazyRouteComponent(() => import("../pages/workers/page.tsx"), "WorkersPage"),
});

const schedules = createRoute({
  getParentRoute: () => root,
  path: "/schedules",
  component: lazyRouteComponent(() => import("../pages/schedules/page.tsx"), "SchedulesPage"),
});

const history = createRoute({
  getParentRoute: () => root,
  path: "/history",
  validateSearch: readHistory,
  component: lazyRouteComponent(() => import("../pages/history/page.tsx"), "HistoryPage"),
});

/** The first page comes at once or not at all; later ones show that they are on their way after a moment. */
const PENDING_MS = 300;

/** `log` is the number of the log of now. */
export function makeRouter(log: () => number) {
  const browser = createBrowserHistory();
  const entries = new Entries(browser, log);
  // A moment of a log that is no more, which one goes back to.
  browser.subscribe(({ location }) => {
    const { at, to: _to, ...rest } = parseSearch(location.search);
    if (at !== undefined && entries.isOld(location)) browser.replace(location.pathname + stringifySearch(rest));
  });
  return createRouter({
    history: browser,
    context: { entries },
    routeTree: root.addChildren([home, jobs, job, submit, queues, workers, schedules, history]),
    parseSearch,
    stringifySearch,
    defaultPreload: "intent",
    defaultPendingMs: PENDING_MS,
    defaultPendingComponent: () => <Loading />,
    defaultErrorComponent: ({ error, reset }) => <ProblemBox error={error} onRetry={reset} />,
    scrollRestoration: false,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}

// One function an endpoint: its path, its query, the type of its answer. To add a call, add a function; its types come
// from types.gen.ts (`npm run types`).

import type { Api, Options } from "./client.ts";
import type {
  ActionAnswer,
  ActionRequest,
  AmendRequest,
  EventList,
  EventPage,
  HistoryBody,
  HistorySpan,
  ItemList,
  ItemState,
  JobBody,
  JobList,
  JobRequest,
  KindList,
  LogPage,
  QueueList,
  QueueRow,
  ScheduleList,
  ScheduleRequest,
  ScheduleRow,
  StateName,
  StatsBody,
  TimelineBody,
  Tree,
  Why,
  WorkerList,
  WorkerRow,
} from "./types.gen.ts";

/** What lists of jobs can be narrowed by. */
export interface JobFilter {
  readonly state?: readonly (StateName | "active")[] | undefined;
  readonly kind?: string | undefined;
  readonly queue?: string | undefined;
  readonly tag?: string | undefined;
  readonly parent_id?: string | undefined;
  readonly q?: string | undefined;
  /** The list as it was after this event. */
  readonly at?: number | undefined;
}

interface Page {
  readonly cursor?: string | null | undefined;
  readonly limit?: number | undefined;
  readonly at?: number | undefined;
}

const job = (id: string, rest = ""): string => `/api/jobs/${encodeURIComponent(id)}${rest}`;
const queue = (name: string, rest: string): string => `/api/queues/${encodeURIComponent(name)}/${rest}`;
const worker = (session: string, rest: string): string => `/api/workers/${encodeURIComponent(session)}/${rest}`;
const schedule = (name: string): string => `/api/schedules/${encodeURIComponent(name)}`;

export const listJobs = (
  api: Api,
  // By name: an address has more than what lists are narrowed by.
  { state, kind, queue, tag, parent_id, q, at }: JobFilter,
  page: Page = {},
  options: Options = {},
): Promise<JobList> => api.get("/api/jobs", { ...options, query: { state, kind, queue, tag, parent_id, q, ...page, at: at ?? page.at } });

export const getJob = (api: Api, id: string, at?: number, options: Options = {}): Promise<JobBody> =>
  api.get(job(id), { ...options, query: { at } });

export const submitJob = (api: Api, body: JobRequest, options: Options = {}): Promise<JobBody> => api.post("/api/jobs", body, options);

/** Of a job that waits. */
export const amendJob = (api: Api, id: string, body: AmendRequest): Promise<JobBody> => api.patch(job(id), body);

export const cancelJob = (api: Api, id: string, body: { children?: boolean } = {}): Promise<JobBody> => api.post(job(id, "/cancel"), body);

export const retryJob = (
  api: Api,
  id: string,
  body: { only_failed_items?: boolean; dependents?: boolean } = {},
): Promise<JobBody> => api.post(job(id, "/retry"), body);

export const purgeJob = (api: Api, id: string): Promise<JobBody> => api.post(job(id, "/purge"));

export const actOnJobs = (api: Api, body: ActionRequest, options: Options = {}): Promise<ActionAnswer> =>
  api.post("/api/jobs/actions", body, options);

export const listEvents = (api: Api, id: string, page: Page = {}, options: Options = {}): Promise<EventList> =>
  api.get(job(id, "/events"), { ...options, query: { ...page } });

export const listItems = (
  api: Api,
  id: string,
  page: Page & { readonly state?: ItemState | undefined } = {},
  options: Options = {},
): Promise<ItemList> => api.get(job(id, "/items"), { ...options, query: { ...page } });

export const getTree = (api: Api, id: string, page: Page = {}, options: Options = {}): Promise<Tree> =>
  api.get(job(id, "/tree"), { ...options, query: { ...page } });

export const getLogs = (
  api: Api,
  id: string,
  page: { readonly after?: number; readonly limit?: number } = {},
  options: Options = {},
): Promise<LogPage> => api.get(job(id, "/logs"), { ...options, query: { ...page } });

export const getWhy = (api: Api, id: string, options: Options = {}): Promise<Why> => api.get(job(id, "/why"), options);

export const listKinds = (api: Api, page: Page = {}, options: Options = {}): Promise<KindList> =>
  api.get("/api/kinds", { ...options, query: { ...page } });

export const listQueues = (api: Api, page: Page = {}, options: Options = {}): Promise<QueueList> =>
  api.get("/api/queues", { ...options, query: { ...page } });

export const pauseQueue = (api: Api, name: string): Promise<QueueRow> => api.post(queue(name, "pause"));
export const resumeQueue = (api: Api, name: string): Promise<QueueRow> => api.post(queue(name, "resume"));
export const drainQueue = (api: Api, name: string): Promise<QueueRow> => api.post(queue(name, "drain"));

export const listWorkers = (api: Api, page: Page = {}, options: Options = {}): Promise<WorkerList> =>
  api.get("/api/workers", { ...options, query: { ...page } });

export const quietWorker = (api: Api, session: string): Promise<WorkerRow> => api.post(worker(session, "quiet"));
export const terminateWorker = (api: Api, session: string): Promise<WorkerRow> => api.post(worker(session, "terminate"));

export const listSchedules = (api: Api, page: Page = {}, options: Options = {}): Promise<ScheduleList> =>
  api.get("/api/schedules", { ...options, query: { ...page } });

export const createSchedule = (api: Api, body: ScheduleRequest): Promise<ScheduleRow> => api.post("/api/schedules", body);
export const putSchedule = (api: Api, name: string, body: ScheduleRequest): Promise<ScheduleRow> => api.put(schedule(name), body);
export const deleteSchedule = (api: Api, name: string): Promise<void> => api.delete(schedule(name));

export const getStats = (api: Api, options: Options = {}): Promise<StatsBody> => api.get("/api/stats", options);

/** The log itself, of all jobs: events after this one. */
export const listLog = (api: Api, page: { readonly after: number; readonly limit: number }, options: Options = {}): Promise<EventPage> =>
  api.get("/api/events", { ...options, query: { ...page } });

export const getHealth = (api: Api, options: Options = {}): Promise<{ readonly seq: number }> => api.get("/health", options);

export const getTimeline = (api: Api, buckets: number, options: Options = {}): Promise<TimelineBody> =>
  api.get("/api/timeline", { ...options, query: { buckets } });

export const getHistory = (api: Api, span: HistorySpan, options: Options = {}): Promise<HistoryBody> =>
  api.get("/api/history", { ...options, query: { span } });

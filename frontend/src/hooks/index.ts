// What pages take from here: data by hooks, and nothing of how it came.

export { useAction, type Action } from "./action.ts";
export { useJob, type JobView } from "./job.ts";
export { useJobRow, useJobs, useLiveRow } from "./jobs.ts";
export { PAST_REASON, usePast, type Past } from "./past.ts";
export { useApi, useQueries, type AskOptions } from "./query.ts";
export { countsOf, useStats } from "./stats.ts";
export { useQueues, useQueuesAt, useWorkersAt, type ReadTable } from "./tables.ts";
export { useAge, useAway, useConnection, useNotices, useReadable, useWorld, WorldProvider } from "./world.tsx";

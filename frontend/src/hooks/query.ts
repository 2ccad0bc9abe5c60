// Requests from components. Every key begins with the epoch, so that nothing of another run of the server is shown; and
// nothing is asked for before the server has said which run it is. The query client comes with the first page that asks
// (there is no provider: it would put the library into what is loaded before anything is shown).

import { keepPreviousData, QueryClient, replaceEqualDeep, useQuery, type UseQueryResult } from "@tanstack/react-query";
import { wasExactRead } from "../api/exact.ts";
import { ApiProblem, type Api, type Options } from "../api/index.ts";
import type { World } from "../store/index.ts";
import { EpochChanged } from "../sync/index.ts";
import { useAge, useWorld } from "./world.tsx";

const STALE_MS = 5_000;
const KEPT_MS = 60_000;
const TRIES_MAX = 3;

/** Only what may be different at the next try is tried again. */
function worthATry(tries: number, error: unknown): boolean {
  if (tries >= TRIES_MAX) return false;
  if (error instanceof EpochChanged) return true;
  return error instanceof ApiProblem && (error.status === 0 || error.status === 503);
}

/** What did not change stays the same object. Long numbers are no objects to be copied: then nothing is. */
const share = (before: unknown, now: unknown): unknown => (wasExactRead() ? now : replaceEqualDeep(before, now));

const clients = new WeakMap<World, QueryClient>();

function clientOf(world: World): QueryClient {
  const known = clients.get(world);
  if (known !== undefined) return known;
  const client = new QueryClient({
    defaultOptions: {
      queries: { staleTime: STALE_MS, gcTime: KEPT_MS, retry: worthATry, refetchOnWindowFocus: false, networkMode: "always", structuralSharing: share },
    },
  });
  client.mount();
  clients.set(world, client);
  // After a reset nothing that was asked before is true.
  world.onClear(() => client.clear());
  return client;
}

/** For what `useApi` does not do: hand it to the library's own hooks as their second argument. */
export function useQueries(): QueryClient {
  return clientOf(useWorld());
}

export interface AskOptions {
  readonly enabled?: boolean;
  /** Asked again so often. */
  readonly everyMs?: number;
  /** What was there stays on view while the next is on its way. */
  readonly keep?: boolean;
}

export function useApi<T>(key: readonly unknown[], call: (api: Api, options: Options) => Promise<T>, options: AskOptions = {}): UseQueryResult<T> {
  const { api } = useWorld();
  const { epoch } = useAge();
  return useQuery<T>(
    {
      queryKey: [epoch, ...key],
      queryFn: ({ signal }) => call(api, { signal }),
      enabled: epoch !== null && (options.enabled ?? true),
      ...(options.everyMs === undefined ? {} : { refetchInterval: options.everyMs }),
      // The types of the library cannot see that this is what it asks for.
      ...(options.keep === true ? { placeholderData: keepPreviousData as never } : {}),
    },
    useQueries(),
  );
}

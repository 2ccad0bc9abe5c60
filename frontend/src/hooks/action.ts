// Something a person does: one call at a time, and what goes wrong is said in a notice with the server's own hint. What
// it changed comes by the socket; nothing is changed here.

import { useCallback, useState } from "react";
import { ApiProblem, type Api } from "../api/index.ts";
import { EpochChanged } from "../sync/index.ts";
import { usePast } from "./past.ts";
import { useWorld } from "./world.tsx";

export interface Action<A extends readonly unknown[]> {
  /** Resolves to whether it went well. */
  readonly run: (...args: A) => Promise<boolean>;
  readonly busy: boolean;
  /** Why it cannot be done now, for a title: `disabled={busy || blocked !== undefined} title={blocked}`. */
  readonly blocked: string | undefined;
}

/** `failed` is the notice's title: "The job was not cancelled". */
export function useAction<A extends readonly unknown[]>(call: (api: Api, ...args: A) => Promise<unknown>, failed: string): Action<A> {
  const { api, notices } = useWorld();
  const { reason: blocked } = usePast();
  const [busy, setBusy] = useState(false);
  const run = useCallback(
    async (...args: A): Promise<boolean> => {
      if (blocked !== undefined) {
        notices.say("info", failed, blocked);
        return false;
      }
      setBusy(true);
      try {
        await call(api, ...args);
        return true;
      } catch (error) {
        notices.say("error", failed, wordsOfFailure(error));
        return false;
      } finally {
        setBusy(false);
      }
    },
    [api, notices, call, failed, blocked],
  );
  return { run, busy, blocked };
}

function wordsOfFailure(error: unknown): string {
  if (error instanceof EpochChanged) return "The server restarted meanwhile: look whether it was done.";
  if (error instanceof ApiProblem) return error.hint === null ? error.detail : `${error.detail} (${error.hint})`;
  return error instanceof Error ? error.message : String(error);
}

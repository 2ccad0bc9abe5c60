// Requests over restarts of the server: what one ended is asked again, when it is known that the log is still the same.

import { EpochChanged } from "../sync/index.ts";
import type { Readable } from "./signal.ts";

export interface Run {
  readonly epoch: string | null;
  /** Grows at each reset. */
  readonly log: number;
}

/** In another log it ends as the restart ended it: nothing of before is asked for there. */
export async function overRestarts<T>(run: Readable<Run>, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const { epoch, log } = run.get();
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof EpochChanged) || signal.aborted) throw error;
      await nextEpoch(run, epoch, signal);
      if (run.get().log !== log || signal.aborted) throw error;
    }
  }
}

function nextEpoch(run: Readable<Run>, epoch: string | null, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const look = (): void => {
      if (run.get().epoch === epoch && !signal.aborted) return;
      end();
      signal.removeEventListener("abort", look);
      done();
    };
    const end = run.listen(look);
    signal.addEventListener("abort", look);
    look();
  });
}

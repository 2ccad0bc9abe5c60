// Something done from a dialog: what goes wrong is shown there, since notices are behind it.

import { useState } from "react";
import { type Api } from "../../api/index.ts";
import { useWorld } from "../../hooks/index.ts";
import { EpochChanged } from "../../sync/index.ts";

export interface Try {
  readonly busy: boolean;
  readonly problem: unknown;
  /** Resolves to whether it went well. */
  readonly run: (call: (api: Api) => Promise<unknown>) => Promise<boolean>;
  readonly clear: () => void;
}

export function useTry(): Try {
  const { api } = useWorld();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const run = async (call: (api: Api) => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setProblem(null);
    try {
      await call(api);
      return true;
    } catch (error) {
      setProblem(error instanceof EpochChanged ? new Error("The server restarted meanwhile: look whether it was done.") : error);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, run, clear: () => setProblem(null) };
}

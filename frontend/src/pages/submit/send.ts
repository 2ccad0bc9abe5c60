// Sends a job once, however often the button is pressed: the key of a request stays as long as nobody knows what became
// of it and its words are the same.

import { useNavigate } from "@tanstack/react-router";
import { useCallback, useEffect, useRef, useState } from "react";
import { ApiProblem, randomKey, submitJob } from "../../api/index.ts";
import { useWorld } from "../../hooks/index.ts";
import type { Fault } from "../../form/values.ts";
import { bodyOf, forget, store, type Attempt, type Form } from "./draft.ts";

export interface Trouble {
  readonly problem: unknown;
  readonly faults: readonly Fault[];
  readonly lost: boolean;
  /** What was sent: an error holds as long as its field is the same. */
  readonly form: Form;
}

/** The server said no, and did nothing. */
const isRefusal = (error: unknown): error is ApiProblem => error instanceof ApiProblem && error.status >= 400 && error.status < 500;

export function useSend(form: Form, first: Attempt | null) {
  const { api, notices, onClear } = useWorldForSending();
  const navigate = useNavigate();
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const attempt = useRef(first);
  const under = useRef(false);
  // What was sent to another log is of no interest to this one.
  useEffect(() => onClear(() => ((attempt.current = null), setTrouble(null))), [onClear]);
  const send = async (): Promise<void> => {
    if (under.current) return;
    const { body, faults } = bodyOf(form);
    if (faults.length > 0) return setTrouble({ problem: null, faults, lost: false, form });
    const text = JSON.stringify(body);
    const now = attempt.current?.text === text ? attempt.current : { key: randomKey(), text };
    attempt.current = now;
    store(form, now);
    under.current = true;
    setBusy(true);
    try {
      const job = await submitJob(api, body, { key: now.key });
      attempt.current = null;
      forget();
      notices.say("success", `Submitted ${job.kind}`);
      await navigate({ to: "/jobs/$id", params: { id: job.id } });
    } catch (error) {
      if (isRefusal(error)) attempt.current = null;
      store(form, attempt.current);
      setTrouble({ problem: error, faults: isRefusal(error) ? error.errors : [], lost: !isRefusal(error), form });
    } finally {
      under.current = false;
      setBusy(false);
    }
  };
  return { send, busy, trouble, attempt };
}

function useWorldForSending() {
  const world = useWorld();
  const onClear = useCallback((clear: () => void) => world.onClear(clear), [world]);
  return { api: world.api, notices: world.notices, onClear };
}

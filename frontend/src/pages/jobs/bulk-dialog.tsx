// Before many jobs are changed: what would happen, and then how far it is. Nothing is changed before the button.

import { useEffect, useRef, useState } from "react";
import type { Action } from "../../api/types.gen.ts";
import { useAge, useWorld } from "../../hooks/index.ts";
import { Button, Dialog, Loading, ProblemBox } from "../../ui/index.ts";
import { BrokenOff, IDS_MAX, perform, preview, wordsOfSkipped, type Outcome, type Plan as BulkPlan, type Target } from "./bulk.ts";

const WORDS = {
  cancel: { title: "Cancel jobs", would: "would be cancelled", did: "cancelled", button: "Cancel", busy: "Cancelling", note: "Running ones stop as soon as their workers do." },
  retry: { title: "Retry jobs", would: "would be queued again", did: "queued again", button: "Retry", busy: "Retrying", note: "" },
} as const;

export interface Ask {
  readonly action: Action;
  readonly target: Target;
}

const jobs = (count: number): string => `${count.toLocaleString("en")} ${count === 1 ? "job" : "jobs"}`;

type Phase =
  | { readonly at: "looking" }
  | { readonly at: "ready"; readonly plan: BulkPlan }
  | { readonly at: "doing"; readonly plan: BulkPlan; readonly done: Outcome }
  | { readonly at: "failed"; readonly problem: unknown; readonly done: Outcome | null };

/** `onDone`: the jobs were changed, as far as they could be. */
export function BulkDialog({ ask, onClose, onDone }: { ask: Ask | null; onClose: () => void; onDone: () => void }) {
  return (
    <Dialog open={ask !== null} title={ask === null ? "" : WORDS[ask.action].title} onClose={onClose}>
      {ask === null ? null : <Asking key={`${ask.action}${JSON.stringify(ask.target)}`} ask={ask} onClose={onClose} onDone={onDone} />}
    </Dialog>
  );
}

function useBulk({ action, target }: Ask, onClose: () => void, onDone: () => void) {
  const { api, notices } = useWorld();
  const [phase, setPhase] = useState<Phase>({ at: "looking" });
  const [again, setAgain] = useState(0);
  const ending = useRef(new AbortController());
  useEffect(() => {
    const looking = new AbortController();
    setPhase({ at: "looking" });
    preview(api, action, target, looking.signal).then(
      (plan) => (looking.signal.aborted ? undefined : setPhase({ at: "ready", plan })),
      (problem: unknown) => (looking.signal.aborted ? undefined : setPhase({ at: "failed", problem, done: null })),
    );
    return () => looking.abort();
  }, [api, action, target, again]);
  // Closed, or gone from the page: no further request; what was done stays done.
  useEffect(() => {
    const controller = new AbortController();
    ending.current = controller;
    return () => controller.abort();
  }, []);
  const run = async (plan: BulkPlan): Promise<void> => {
    const tell = (done: Outcome): void => setPhase({ at: "doing", plan, done });
    tell({ changed: 0, skipped: {}, more: true });
    try {
      const done = await perform(api, action, target, plan, ending.current.signal, tell);
      const skipped = wordsOfSkipped(done.skipped);
      const detail = [done.changed > 0 ? WORDS[action].note : "", skipped === "" ? "" : `Left as they are: ${skipped}.`, done.more ? "Some were not reached." : ""];
      notices.say(done.changed > 0 ? "success" : "warning", `${jobs(done.changed)} ${WORDS[action].did}`, detail.filter((one) => one !== "").join(" ") || null);
      onDone();
      onClose();
    } catch (error) {
      const broken = error instanceof BrokenOff ? error : null;
      setPhase({ at: "failed", problem: broken?.cause ?? error, done: broken?.done ?? null });
    }
  };
  return { phase, run, look: () => setAgain(again + 1) };
}

function Asking({ ask, onClose, onDone }: { ask: Ask; onClose: () => void; onDone: () => void }) {
  const { phase, run, look } = useBulk(ask, onClose, onDone);
  const { log } = useAge();
  const [opened] = useState(log);
  // Asked in another log: there it means nothing.
  useEffect(() => {
    if (log !== opened) onClose();
  }, [log, opened, onClose]);
  const words = WORDS[ask.action];
  const ready = phase.at === "ready" ? phase.plan : null;
  return (
    <div className="grid gap-4">
      <div aria-live="polite" className="min-h-24">
        {phase.at === "looking" ? <Loading label="Looking what would change" /> : null}
        {phase.at === "failed" ? <ProblemBox error={phase.problem} onRetry={look} again={phase.done === null ? "Try again" : "Look again"} /> : null}
        {phase.at === "failed" && phase.done !== null ? (
          <p className="px-4 text-sm">
            {jobs(phase.done.changed)} {phase.done.changed === 1 ? "was" : "were"} {words.did} before. Look again to see what is left.
          </p>
        ) : null}
        {ready === null ? null : <Plan ask={ask} plan={ready} />}
        {phase.at === "doing" ? <Doing ask={ask} plan={phase.plan} done={phase.done} /> : null}
      </div>
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>{phase.at === "doing" ? "Stop" : ready?.changed === 0 ? "Close" : "Leave them"}</Button>
        {ready === null || ready.changed === 0 ? null : (
          <Button look={ask.action === "cancel" ? "danger" : "main"} icon={ask.action === "cancel" ? "cancelled" : "retryable"} autoFocus onClick={() => void run(ready)}>
            {words.button} {ready.more && "filter" in ask.target ? "all" : jobs(ready.changed)}
          </Button>
        )}
      </div>
    </div>
  );
}

function Plan({ ask, plan }: { ask: Ask; plan: BulkPlan }) {
  const { would, note } = WORDS[ask.action];
  const byFilter = "filter" in ask.target;
  const skipped = Object.values(plan.skipped).reduce((sum, one) => sum + one, 0);
  return (
    <div className="grid gap-2 text-sm">
      <p className="text-base font-medium">
        {byFilter && plan.more && plan.changed > 0 ? "At least " : ""}
        {plan.changed === 0 ? "No job" : jobs(plan.changed)} {would}.
      </p>
      {skipped === 0 ? null : (
        <p className="text-muted">
          {jobs(skipped)} {skipped === 1 ? "stays as it is" : "stay as they are"}: {wordsOfSkipped(plan.skipped)}.
        </p>
      )}
      {plan.more && byFilter ? <p className="text-muted">More match than one look shows. It goes on, 10,000 at a time, until none is left.</p> : null}
      {plan.more && !byFilter ? <p className="text-muted">At most {IDS_MAX.toLocaleString("en")} are done at once.</p> : null}
      {note === "" || plan.changed === 0 ? null : <p className="text-muted">{note}</p>}
    </div>
  );
}

function Doing({ ask, plan, done }: { ask: Ask; plan: BulkPlan; done: Outcome }) {
  const known = !(plan.more && "filter" in ask.target);
  const of = Math.max(1, plan.changed);
  return (
    <div className="grid gap-2 text-sm">
      <p className="text-base font-medium">
        {WORDS[ask.action].busy}: {done.changed.toLocaleString("en")}
        {known ? ` of ${plan.changed.toLocaleString("en")}` : ""}
      </p>
      <progress aria-label="How many are done" max={of} {...(known ? { value: Math.min(of, done.changed) } : {})} className="h-1.5 w-full accent-(--accent)" />
    </div>
  );
}

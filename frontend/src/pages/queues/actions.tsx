// Pause, resume and drain. What was done is shown when its event comes; a button keeps the focus while its word changes.

import { useState } from "react";
import { drainQueue, pauseQueue, resumeQueue } from "../../api/index.ts";
import type { QueueRow } from "../../api/types.gen.ts";
import { useAction } from "../../hooks/index.ts";
import { Confirm } from "../../ui/confirm.tsx";
import { Button } from "../../ui/index.ts";
import { gateOf } from "./depth.ts";

export function Actions({ row, disabled }: { row: QueueRow; disabled: boolean }) {
  const pause = useAction(pauseQueue, `${row.name} was not paused`);
  const resume = useAction(resumeQueue, `${row.name} was not resumed`);
  const drain = useAction(drainQueue, `${row.name} does not drain`);
  const [asked, setAsked] = useState(false);
  const open = gateOf(row) === "open";
  const busy = pause.busy || resume.busy || drain.busy;
  const change = (): void => {
    // A button that is disabled while it works would lose the focus.
    if (!busy) void (open ? pause : resume).run(row.name);
  };
  const past = disabled ? { disabled: true, title: pause.blocked } : {};
  return (
    <div className="flex items-center justify-end gap-1.5">
      {row.draining === null ? (
        <Button look="quiet" icon="drain" aria-label={`Drain ${row.name}`} onClick={() => setAsked(true)} {...past}>
          Drain
        </Button>
      ) : null}
      <Button icon={open ? "pause" : "resume"} aria-label={`${open ? "Pause" : "Resume"} ${row.name}`} aria-busy={busy} onClick={change} className="w-24" {...past}>
        {open ? "Pause" : "Resume"}
      </Button>
      <Confirm
        open={asked}
        title={`Drain ${row.name}?`}
        action="Drain"
        busy={busy}
        onClose={() => setAsked(false)}
        onConfirm={() => void drain.run(row.name).then((done) => done && setAsked(false))}
      >
        <p>It takes no new jobs until it is resumed: submits and retries by hand are refused. What is in it is worked off.</p>
        <p className="text-muted">It stays so over restarts of the server.</p>
      </Confirm>
    </div>
  );
}

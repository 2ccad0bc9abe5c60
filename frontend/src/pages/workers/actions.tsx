// Quiet and terminate: both are asked for before, and neither can be taken back.

import { useState } from "react";
import { quietWorker, terminateWorker } from "../../api/index.ts";
import type { WorkerRow } from "../../api/types.gen.ts";
import { useAction } from "../../hooks/index.ts";
import { Confirm } from "../../ui/confirm.tsx";
import { Button } from "../../ui/index.ts";

export function Actions({ row, disabled }: { row: WorkerRow; disabled: boolean }) {
  const [asked, setAsked] = useState<"quiet" | "terminate" | null>(null);
  const quiet = useAction(quietWorker, `${row.name} was not told`);
  const terminate = useAction(terminateWorker, `${row.name} was not told`);
  const close = (): void => setAsked(null);
  const done = (went: boolean): void => {
    if (went) close();
  };
  const title = disabled ? quiet.blocked : undefined;
  return (
    <div className="flex justify-end gap-1.5">
      <Button look="quiet" icon="quiet" aria-label={`Quiet ${row.name}`} title={title} disabled={disabled || row.state !== "run"} onClick={() => setAsked("quiet")}>
        Quiet
      </Button>
      <Button look="danger" icon="stop" aria-label={`Terminate ${row.name}`} title={title} disabled={disabled || row.state === "terminate"} onClick={() => setAsked("terminate")}>
        Terminate
      </Button>
      <Confirm open={asked === "quiet"} title={`Quiet ${row.name}?`} action="Quiet" busy={quiet.busy} onClose={close} onConfirm={() => void quiet.run(row.session).then(done)}>
        <p>It ends what it has and gets no more jobs. To take jobs again it has to join anew.</p>
        <Holds jobs={row.jobs.length} />
      </Confirm>
      <Confirm
        open={asked === "terminate"}
        title={`Terminate ${row.name}?`}
        action="Terminate"
        danger
        busy={terminate.busy}
        onClose={close}
        onConfirm={() => void terminate.run(row.session).then(done)}
      >
        <p>It is told to give back what it has, and to go. What it gives back is queued again, and begins anew.</p>
        {row.place === "subprocess" ? <p>A child process that stays is ended after the grace of its kind, and started again.</p> : null}
        <Holds jobs={row.jobs.length} />
      </Confirm>
    </div>
  );
}

function Holds({ jobs }: { jobs: number }) {
  return <p className="text-muted">{jobs === 0 ? "It runs nothing now." : `It runs ${jobs} ${jobs === 1 ? "job" : "jobs"} now.`}</p>;
}

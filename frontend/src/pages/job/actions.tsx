// What can be done with a job: each where it applies, by button, menu and key. Nothing in the past.

import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { isTerminal } from "../../api/index.ts";
import type { JobBody, JobRow } from "../../api/types.gen.ts";
import { useShortcut } from "../../app/shortcuts.ts";
import { usePast, useWorld } from "../../hooks/index.ts";
import { Button, buttonClass, copyText, Menu, type MenuItem } from "../../ui/index.ts";
import { ChangeDialog } from "./change.tsx";
import { curlOf } from "./curl.ts";
import { CancelDialog, PurgeDialog, RetryDialog } from "./dialogs.tsx";

type Which = "cancel" | "retry" | "purge" | "change";

export interface Allowed {
  readonly cancel: boolean;
  readonly retry: boolean;
  readonly retryItems: boolean;
  readonly purge: boolean;
  readonly change: boolean;
}

export function allowedFor(row: JobRow, past: boolean): Allowed {
  const terminal = isTerminal(row.state);
  const kept = row.purged_at === null && !past;
  const undone = (row.items?.failed ?? 0) + (row.items?.skipped ?? 0);
  return {
    cancel: !past && !terminal && row.cancel_requested_at === null,
    retry: kept && (row.state === "failed" || row.state === "cancelled"),
    retryItems: kept && terminal && undone > 0,
    purge: kept && terminal,
    change: !past && !terminal && row.state !== "running",
  };
}

export function Actions({ row, job, past }: { row: JobRow; job: JobBody | undefined; past: boolean }) {
  const [open, setWhich] = useState<Which | null>(null);
  /** Each question begins anew: what was ticked the last time is not ticked now. */
  const [times, setTimes] = useState(0);
  const setOpen = (which: Which): void => {
    setTimes(times + 1);
    setWhich(which);
  };
  const { notices } = useWorld();
  const { reason } = usePast();
  const navigate = useNavigate();
  const can = allowedFor(row, past);
  const again = { from: row.id };
  const copy = async (): Promise<void> => {
    if (job === undefined) return;
    const done = await copyText(curlOf(job, location.origin));
    notices.say(done ? "success" : "error", done ? "The command was copied" : "The command was not copied", done ? `It submits the same job again${row.items === null ? "" : ", but for its items"}.` : "The browser did not allow it.");
  };
  const whole = job !== undefined && row.purged_at === null;
  const items: MenuItem[] = [
    { label: "Change …", disabled: !can.change, run: () => setOpen("change") },
    { label: "Submit again …", icon: "submit", disabled: past || !whole, run: () => void navigate({ to: "/submit", search: again }) },
    { label: "Copy as curl", icon: "copy", disabled: !whole, run: () => void copy() },
    { label: "Purge …", icon: "close", disabled: !can.purge, run: () => setOpen("purge") },
  ];
  const close = (): void => setWhich(null);
  const terminal = isTerminal(row.state);
  return (
    <>
      {terminal && !past && whole ? (
        <Link to="/submit" search={again} className={`${buttonClass()} max-sm:hidden`}>
          Submit again
        </Link>
      ) : null}
      {terminal ? (
        <Button icon="retryable" disabled={!can.retry && !can.retryItems} title={reason} onClick={() => setOpen("retry")}>
          {can.retryItems && !can.retry ? "Retry items" : "Retry"}
        </Button>
      ) : (
        <Button icon="cancelled" look="danger" disabled={!can.cancel} title={reason} onClick={() => setOpen("cancel")}>
          {row.cancel_requested_at !== null ? "Cancelling" : "Cancel"}
        </Button>
      )}
      {can.cancel ? <Key keys="c" label="Cancel the job" run={() => setOpen("cancel")} /> : null}
      {can.retry || can.retryItems ? <Key keys="r" label="Retry the job" run={() => setOpen("retry")} /> : null}
      <span className="max-sm:ml-auto">
        <Menu label="More actions" icon="menu" items={items} />
      </span>
      <CancelDialog key={`cancel ${times}`} row={row} open={open === "cancel"} onClose={close} />
      <RetryDialog key={`retry ${times}`} row={row} can={can} open={open === "retry"} onClose={close} />
      <PurgeDialog key={`purge ${times}`} row={row} open={open === "purge"} onClose={close} />
      <ChangeDialog row={row} open={open === "change"} onClose={close} />
    </>
  );
}

function Key({ keys, label, run }: { keys: string; label: string; run: () => void }) {
  useShortcut(keys, label, "Job", run);
  return null;
}

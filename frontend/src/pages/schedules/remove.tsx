// Asks before a schedule is deleted.

import { flushSync } from "react-dom";
import { deleteSchedule } from "../../api/index.ts";
import type { ScheduleRow } from "../../api/types.gen.ts";
import { useAction } from "../../hooks/index.ts";
import { Confirm } from "../../ui/confirm.tsx";

export function Remove({ row, onDone, onClose }: { row: ScheduleRow; onDone: () => void; onClose: () => void }) {
  const remove = useAction(deleteSchedule, `${row.name} was not deleted`);
  const confirm = async (): Promise<void> => {
    if (!(await remove.run(row.name))) return;
    // The row that asked goes, and the focus must not be lost with it: the dialog, closed, gives it back to that row.
    flushSync(onDone);
    document.getElementById("main")?.focus();
  };
  return (
    <Confirm open title={`Delete ${row.name}?`} action="Delete" danger busy={remove.busy} onClose={onClose} onConfirm={() => void confirm()}>
      <p>It submits no more jobs. Those that it made go on.</p>
    </Confirm>
  );
}

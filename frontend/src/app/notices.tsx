// What the page says, read out by assistive technology: warnings and errors at once, the rest when there is a pause.

import { useCallback } from "react";
import { useNotices, useWorld } from "../hooks/index.ts";
import type { Notice } from "../store/index.ts";
import { Toast } from "../ui/index.ts";

const isUrgent = ({ tone }: Notice): boolean => tone === "warning" || tone === "error";

export function NoticeRegion() {
  const notices = useNotices();
  return (
    <div className="pointer-events-none fixed right-3 bottom-3 left-3 z-40 grid gap-2 max-sm:bottom-16 sm:left-auto sm:w-96">
      {/* The regions are always there: one that comes with its words is not read out. */}
      <div role="alert" className="grid gap-2">
        {notices.filter(isUrgent).map((notice) => (
          <One key={notice.id} notice={notice} />
        ))}
      </div>
      <div role="status" className="grid gap-2">
        {notices
          .filter((notice) => !isUrgent(notice))
          .map((notice) => (
            <One key={notice.id} notice={notice} />
          ))}
      </div>
    </div>
  );
}

function One({ notice }: { notice: Notice }) {
  const { notices } = useWorld();
  const dismiss = useCallback(() => notices.dismiss(notice.id), [notices, notice.id]);
  return <Toast {...notice} onDismiss={dismiss} />;
}

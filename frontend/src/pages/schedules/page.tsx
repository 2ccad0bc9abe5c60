// Schedules: not built yet.

import { Page } from "../../app/page.tsx";
import { Empty } from "../../ui/index.ts";

export function SchedulesPage() {
  return (
    <Page title="Schedules">
      <Empty title="This page is not built yet" />
    </Page>
  );
}

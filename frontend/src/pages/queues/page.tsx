// Queues: not built yet.

import { Page } from "../../app/page.tsx";
import { Empty } from "../../ui/index.ts";

export function QueuesPage() {
  return (
    <Page title="Queues">
      <Empty title="This page is not built yet" />
    </Page>
  );
}

// History: not built yet.

import { Page } from "../../app/page.tsx";
import { Empty } from "../../ui/index.ts";

export function HistoryPage() {
  return (
    <Page title="History">
      <Empty title="This page is not built yet" />
    </Page>
  );
}

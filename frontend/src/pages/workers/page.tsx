// Workers: not built yet.

import { Page } from "../../app/page.tsx";
import { Empty } from "../../ui/index.ts";

export function WorkersPage() {
  return (
    <Page title="Workers">
      <Empty title="This page is not built yet" />
    </Page>
  );
}

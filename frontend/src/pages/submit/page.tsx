// Submit: not built yet.

import { Page } from "../../app/page.tsx";
import { Empty } from "../../ui/index.ts";

export function SubmitPage() {
  return (
    <Page title="Submit">
      <Empty title="This page is not built yet" />
    </Page>
  );
}

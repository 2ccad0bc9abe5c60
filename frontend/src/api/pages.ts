// Lists that are needed whole, although the server gives them out in pages: kinds, schedules, tables of a past moment.

/** Rows of a page, as many as the server gives at once. */
export const PAGE_ROWS = 500;
/** Beyond this nobody looks through them. */
const PAGES_MAX = 20;

interface Page {
  readonly next_cursor: string | null;
}

/** All rows of all pages, up to 10,000. `read` has the cursor of the next page. */
export async function allRows<P extends Page, R>(read: (page: { readonly cursor: string | null; readonly limit: number }) => Promise<P>, rowsOf: (page: P) => readonly R[]): Promise<readonly R[]> {
  const rows: R[] = [];
  let cursor: string | null = null;
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const page: P = await read({ cursor, limit: PAGE_ROWS });
    rows.push(...rowsOf(page));
    cursor = page.next_cursor;
    if (cursor === null) break;
  }
  return rows;
}

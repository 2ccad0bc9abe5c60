// What others take from here.

export { Active } from "./active.ts";
export { LIST_ROWS_MAX, LIVE_ROWS, PAGE_ROWS, type ListView } from "./list-parts.ts";
export { JobList } from "./list.ts";
export { Ids } from "./order.ts";
export { Notices, type Notice, type Tone } from "./notices.ts";
export { RowStore } from "./rows.ts";
export { Signal, type Readable } from "./signal.ts";
export { Table, type TableView } from "./tables.ts";
export { World, type Age, type Line } from "./world.ts";

// What others take from here.

export { STRIP_ROWS, type StripView } from "./active-parts.ts";
export { Active } from "./active.ts";
export { type AftermathView, type Fate, type JobFate } from "./aftermath.ts";
export { browserAround, type Around } from "./around.ts";
export { LIST_ROWS_MAX, LIVE_ROWS, PAGE_ROWS, type ListView } from "./list-parts.ts";
export { JobList } from "./list.ts";
export { Notices, type Notice, type NoticeMore, type Tone } from "./notices.ts";
export { Ids } from "./order.ts";
export { RowStore } from "./rows.ts";
export { Signal, type Readable } from "./signal.ts";
export { Stats } from "./stats.ts";
export { Table, type TableView } from "./tables.ts";
export { World, type Age, type Line } from "./world.ts";
export { JobEvents, type EventsView } from "./events.ts";
export { ItemPages, type ItemsView } from "./items.ts";
export { LogTail, type LogView } from "./log.ts";

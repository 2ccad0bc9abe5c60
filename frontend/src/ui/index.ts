// What pages take from here. `grid.tsx`, `table.tsx` and `confirm.tsx` are not among it: they come with the pages that have
// them, and not before.

export { Chip, StateBadge, STATE_COLOURS } from "./badge.tsx";
export { Button, buttonClass, IconButton } from "./button.tsx";
export { copyText, saveText } from "./copy.ts";
export { Dialog } from "./dialog.tsx";
export { Empty, Loading } from "./empty.tsx";
export { CONTROL, Field, type ControlProps } from "./field.tsx";
export { Icon, type IconName } from "./icon.tsx";
export { Menu, type MenuItem } from "./menu.tsx";
export { useNarrow } from "./narrow.ts";
export { ProblemBox, wordsOf } from "./problem.tsx";
export { Progress } from "./progress.tsx";
export { Ago, Moment, Time, Took } from "./time.tsx";
export { Toast } from "./toast.tsx";
export { ago, clock, isolated, short, size, span, unturned } from "./words.ts";

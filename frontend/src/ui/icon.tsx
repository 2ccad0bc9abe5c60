// The icons: one stroke, 16 by 16, in the colour of the text beside them. Never the only carrier of a meaning.

const PATHS = {
  scheduled: "M8 4.5V8l2.2 1.6M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z",
  queued: "M3 4.5h10M3 8h10M3 11.5h6",
  blocked: "M4.5 7V5.2a3.5 3.5 0 0 1 7 0V7M3.5 7h9v6h-9z",
  running: "M8 2a6 6 0 1 1-5.2 3M2.5 2v3.2h3.2",
  retryable: "M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 2.2V5h-2.8M8 5.4v3M8 10.6v.1",
  completed: "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0ZM5.4 8.2l1.8 1.8 3.4-3.8",
  failed: "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0ZM5.9 5.9l4.2 4.2M10.1 5.9l-4.2 4.2",
  cancelled: "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0ZM3.9 3.9l8.2 8.2",
  jobs: "M2.5 4h11M2.5 8h11M2.5 12h11",
  submit: "M8 3v10M3 8h10",
  queues: "M2.5 3.5h11v3h-11zM2.5 9.5h11v3h-11z",
  workers: "M5 5h6v6H5zM8 2v3M8 11v3M2 8h3M11 8h3",
  schedules: "M3 4h10v9.5H3zM3 7h10M5.7 2.5v3M10.3 2.5v3",
  history: "M2.5 13.5V3M2.5 13.5h11M5 11V8.5M8 11V5.5M11 11V7",
  search: "M11.5 7a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0ZM10.3 10.3l3.2 3.2",
  close: "M4 4l8 8M12 4l-8 8",
  download: "M8 2.5v7.5M4.5 6.8L8 10.2l3.5-3.4M3 13h10",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  copy: "M5.5 5.5h7.5V13H5.5zM3 10.5V3h7.5",
  menu: "M8 3.5v.1M8 8v.1M8 12.5v.1",
  help: "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0ZM6.3 6.4a1.8 1.8 0 1 1 2.4 1.7c-.5.2-.7.5-.7 1M8 11.2v.1",
  light: "M8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M12.6 3.4l-1.1 1.1M4.5 11.5l-1.1 1.1M10.8 8a2.8 2.8 0 1 1-5.6 0 2.8 2.8 0 0 1 5.6 0Z",
  dark: "M13.5 9.3A5.7 5.7 0 0 1 6.7 2.5a5.7 5.7 0 1 0 6.8 6.8Z",
  system: "M2.5 3h11v7.5h-11zM6 13.5h4M8 10.5v3",
  info: "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0ZM8 7.4v3.4M8 5v.1",
  warning: "M8 2.5l6 11H2zM8 6.7v3M8 11.6v.1",
  up: "M8 12.5v-9M4 7.5l4-4 4 4",
  down: "M4 6l4 4 4-4",
  forward: "M3 8h10M9 4l4 4-4 4",
  travel: "M2.6 6A5.8 5.8 0 1 1 2.2 8.6M2.2 2.8V6h3.2M8 5v3.2l2.2 1.4",
  resume: "M5 3.2v9.6L12.5 8z",
  drain: "M2.5 3.5h11L9.5 8.5v4l-3 1v-5z",
  quiet: "M6 5.5v5M10 5.5v5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z",
  stop: "M6 6h4v4H6zM14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z",
  edit: "M3 13l.6-2.8 7-7 2.2 2.2-7 7zM9.2 4.6l2.2 2.2",
  remove: "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5",
  locked: "M5 7V5.2a3 3 0 0 1 6 0V7M3.5 7h9v6h-9zM8 9.3v1.4",
  back: "M13 8H3M7 4L3 8l4 4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, className = "", size = 16 }: { name: IconName; className?: string; size?: number }) {
  return (
    <svg
      aria-hidden="true"
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      className={`shrink-0 ${className}`}
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

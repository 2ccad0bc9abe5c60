// The ways to the pages: a row in the head, or a bar at the foot of a phone. `PLACES` is the list of them all.

import { Link, useNavigate } from "@tanstack/react-router";
import { Icon, type IconName } from "../ui/index.ts";
import { useShortcut } from "./shortcuts.ts";

export const PLACES = [
  { to: "/jobs", label: "Jobs", icon: "jobs", key: "j" },
  { to: "/queues", label: "Queues", icon: "queues", key: "q" },
  { to: "/workers", label: "Workers", icon: "workers", key: "w" },
  { to: "/schedules", label: "Schedules", icon: "schedules", key: "s" },
  { to: "/history", label: "History", icon: "history", key: "h" },
] as const satisfies readonly { to: string; label: string; icon: IconName; key: string }[];

type Place = (typeof PLACES)[number];

function GoTo({ place }: { place: Place }) {
  const navigate = useNavigate();
  useShortcut(`g ${place.key}`, place.label, "Go to", () => void navigate({ to: place.to }));
  return null;
}

export function Nav() {
  return (
    <nav aria-label="Pages" className="flex min-w-0 max-sm:fixed max-sm:inset-x-0 max-sm:bottom-0 max-sm:z-20 max-sm:border-t max-sm:border-line max-sm:bg-surface sm:gap-0.5">
      {PLACES.map((place) => (
        <span key={place.to} className="contents">
          <GoTo place={place} />
          <Link
            to={place.to}
            activeOptions={{ includeSearch: false }}
            activeProps={{ className: "text-accent sm:bg-chosen sm:text-ink", "aria-current": "page" }}
            inactiveProps={{ className: "text-muted hover:text-ink sm:hover:bg-hover" }}
            className="flex min-w-0 items-center justify-center rounded-md font-medium max-sm:h-13 max-sm:flex-1 max-sm:flex-col max-sm:gap-0.5 max-sm:text-[0.6875rem] sm:h-8 sm:px-2.5 sm:text-sm"
          >
            <Icon name={place.icon} className="sm:hidden" size={18} />
            {place.label}
          </Link>
        </span>
      ))}
    </nav>
  );
}

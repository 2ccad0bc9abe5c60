// The keys that work here and now, and the switch that turns them off.

import { useReadable } from "../hooks/index.ts";
import { Dialog } from "../ui/index.ts";
import { shortcuts, type Shortcut } from "./shortcuts.ts";

const KEY_NAMES: Readonly<Record<string, string>> = { Escape: "Esc", ArrowLeft: "←", ArrowRight: "→" };

export function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  const all = useReadable(shortcuts.all);
  const on = useReadable(shortcuts.on);
  const groups = [...new Set(all.map((one) => one.group))];
  return (
    <Dialog open={open} title="Keyboard" onClose={onClose}>
      <div className="grid gap-x-8 gap-y-4 sm:grid-cols-2">
        {groups.map((group) => (
          <Group key={group} title={group} keys={all.filter((one) => one.group === group)} />
        ))}
      </div>
      <label className="mt-4 flex items-center gap-2 border-t border-line pt-3 text-sm">
        <input type="checkbox" checked={on} onChange={(event) => shortcuts.switch(event.target.checked)} className="accent-(--accent)" />
        Shortcuts are on
      </label>
    </Dialog>
  );
}

function Group({ title, keys }: { title: string; keys: readonly Shortcut[] }) {
  const latest = [...new Map(keys.map((one) => [one.keys, one])).values()];
  return (
    <section>
      <h3 className="mb-1 text-xs font-semibold tracking-wide text-muted uppercase">{title}</h3>
      <dl className="grid gap-1">
        {latest.map((one) => (
          <div key={one.keys} className="flex items-center justify-between gap-4 text-sm">
            <dt>{one.label}</dt>
            <dd className="flex gap-1">
              {one.keys.split(" ").map((key) => (
                <kbd key={key} className="min-w-6 rounded border border-line bg-sunken px-1.5 text-center font-mono text-xs">
                  {KEY_NAMES[key] ?? key}
                </kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

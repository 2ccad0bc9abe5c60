// How components reach the world. The one React context of the page.

import { createContext, useCallback, useContext, useSyncExternalStore, type ReactNode } from "react";
import type { Age, Notice, Readable, World } from "../store/index.ts";
import type { Connection } from "../sync/index.ts";

const Context = createContext<World | null>(null);

export function WorldProvider({ world, children }: { world: World; children: ReactNode }) {
  return <Context value={world}>{children}</Context>;
}

export function useWorld(): World {
  const world = useContext(Context);
  if (world === null) throw new Error("components are drawn inside a WorldProvider");
  return world;
}

export function useReadable<T>(readable: Readable<T>): T {
  return useSyncExternalStore(readable.listen, readable.get);
}

export function useConnection(): Connection {
  return useReadable(useWorld().connection);
}

/** Whether pictures, videos and links to files wait: what answers next may be another log. */
export function useAway(): boolean {
  const world = useWorld();
  const listen = useCallback(
    (hear: () => void) => {
      const ends = [world.connection.listen(hear), world.age.listen(hear)];
      return () => ends.forEach((end) => end());
    },
    [world],
  );
  return useSyncExternalStore(listen, () => world.away);
}

/** Which run of the server, and which log. */
export function useAge(): Age {
  return useReadable(useWorld().age);
}

export function useNotices(): readonly Notice[] {
  return useReadable(useWorld().notices);
}

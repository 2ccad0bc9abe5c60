// The names of all kinds and queues, for the filters to suggest. Draws nothing.

import { useEffect } from "react";
import { listKinds, listQueues, type Api, type Options } from "../../api/index.ts";
import { useApi } from "../../hooks/index.ts";

const NAMES_MAX = 500;

export interface KnownNames {
  readonly kinds: readonly string[];
  readonly queues: readonly string[];
}

async function namesOf(api: Api, options: Options): Promise<KnownNames> {
  const [{ kinds }, { queues }] = await Promise.all([listKinds(api, { limit: NAMES_MAX }, options), listQueues(api, { limit: NAMES_MAX }, options)]);
  return { kinds: kinds.map(({ name }) => name), queues: queues.map(({ name }) => name) };
}

export default function Names({ onNames }: { onNames: (names: KnownNames) => void }) {
  const { data } = useApi(["names"], namesOf, { keep: true });
  useEffect(() => {
    if (data !== undefined) onNames(data);
  }, [data, onNames]);
  return null;
}

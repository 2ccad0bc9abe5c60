// The latest preview picture, asked for again when the progress moved. It has one address for all its versions, so it is
// read as bytes and shown as a picture: never as a document.

import { useEffect, useRef, useState } from "react";
import type { JobRow } from "../../api/types.gen.ts";
import { useWorld } from "../../hooks/index.ts";
import { Block } from "./overview.tsx";

/** Pictures a second at most are one; a worker may send many. */
const EVERY_MS = 1_000;

export function Preview({ row }: { row: JobRow }) {
  const url = usePreview(row);
  // What a worker calls a picture need not be one.
  const [broken, setBroken] = useState<string | null>(null);
  const { stage = null, percent = null } = row.progress ?? {};
  const told = [stage, percent === null ? null : `${Math.round(percent)} %`].filter((one) => one !== null).join(", ");
  if (url === null || url === broken) return null;
  return (
    <Block title="Preview">
      <img src={url} onError={() => setBroken(url)} alt={told === "" ? "Preview of what the job makes" : `Preview at ${told}`} className="max-h-96 max-w-full justify-self-start rounded-md border border-line bg-sunken object-contain" />
    </Block>
  );
}

function usePreview({ id, progress, state }: JobRow): string | null {
  const { api } = useWorld();
  const [url, setUrl] = useState<string | null>(null);
  const reader = useRef<Reader | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    const ask = async (): Promise<void> => {
      const answer = await api.raw(`/api/jobs/${encodeURIComponent(id)}/preview`, { signal: stop.signal, cache: "no-cache" });
      const picture = await answer.blob();
      if (!stop.signal.aborted && picture.type.startsWith("image/")) setUrl(URL.createObjectURL(picture));
    };
    // It is kept in memory for a while only: what was seen of it stays.
    reader.current = readerOf(() => ask().catch(() => undefined), stop.signal);
    return () => stop.abort();
  }, [api, id]);
  // The progress is a new object each time that something of it came.
  useEffect(() => reader.current?.(), [progress, state]);
  useEffect(() => (url === null ? undefined : () => URL.revokeObjectURL(url)), [url]);
  return url;
}

type Reader = () => void;

/** One reading at a time, and after it another if the progress moved meanwhile: a slow line still shows pictures. */
function readerOf(read: () => Promise<void>, signal: AbortSignal): Reader {
  let busy = false;
  let again = false;
  const run = async (): Promise<void> => {
    busy = true;
    again = false;
    await read();
    await new Promise((later) => setTimeout(later, EVERY_MS));
    busy = false;
    if (again && !signal.aborted) await run();
  };
  return () => {
    if (busy) again = true;
    else void run();
  };
}

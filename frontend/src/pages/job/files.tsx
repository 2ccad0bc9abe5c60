// The output files of a job: pictures, videos and sounds are shown, all can be saved.

import { useEffect, useRef, useState, type KeyboardEvent, type Ref, type SyntheticEvent } from "react";
import type { FileInfo, JobRow } from "../../api/types.gen.ts";
import { useAway } from "../../hooks/index.ts";
import { Button, buttonClass, Icon, size } from "../../ui/index.ts";
import { Block } from "./overview.tsx";

/** More are shown when somebody asks. */
const SHOWN = 12;

type Look = "picture" | "video" | "sound" | "other";

function lookOf({ type }: FileInfo): Look {
  if (type.startsWith("image/")) return "picture";
  if (type.startsWith("video/")) return "video";
  return type.startsWith("audio/") ? "sound" : "other";
}

export function Files({ row }: { row: JobRow }) {
  const [shown, setShown] = useState(SHOWN);
  const { files } = row;
  const all = files.reduce((sum, file) => sum + file.size, 0);
  return (
    <Block title={`Files (${files.length}, ${size(all)})`}>
      <ul className="grid items-start gap-3 sm:grid-cols-2 xl:grid-cols-3">
        {files.slice(0, shown).map((file) => (
          // A new run may store another file of the same name.
          <File key={`${file.name} ${file.size} ${row.attempt}`} id={row.id} file={file} />
        ))}
      </ul>
      {files.length > shown ? (
        <div>
          <Button onClick={() => setShown(shown + 60)}>Show more ({files.length - shown})</Button>
        </div>
      ) : null}
    </Block>
  );
}

function File({ id, file }: { id: string; file: FileInfo }) {
  const away = useAway();
  const path = `/api/jobs/${encodeURIComponent(id)}/files/${encodeURIComponent(file.name)}`;
  return (
    <li data-file={file.name} className="grid min-w-0 content-start overflow-hidden rounded-md border border-line bg-surface">
      <Shown file={file} path={path} />
      <div className="flex min-w-0 items-center gap-2 p-2">
        <div className="min-w-0 flex-1">
          <p className="truncate text-sm font-medium" title={file.name}>
            {file.name}
          </p>
          <p className="truncate text-xs text-muted">
            {file.type} · {size(file.size)}
          </p>
        </div>
        <a {...(away ? { role: "link", "aria-disabled": true } : { href: path })} download={file.name} aria-label={`Save ${file.name}`} title={`Save ${file.name}`} className={`${buttonClass("quiet")} w-8 px-0`}>
          <Icon name="download" />
        </a>
      </div>
    </li>
  );
}

/** Its arrows seek: they are not for the tabs. */
function keepArrows(event: KeyboardEvent): void {
  if (event.key.startsWith("Arrow")) event.stopPropagation();
}

function Shown({ file, path }: { file: FileInfo; path: string }) {
  const [broken, setBroken] = useState(false);
  const look = lookOf(file);
  if (look === "other") return null;
  if (broken) return <p className="border-b border-line bg-sunken p-3 text-xs text-muted">This browser cannot show it.</p>;
  const fail = (): void => setBroken(true);
  return look === "picture" ? <Picture name={file.name} path={path} onFail={fail} /> : <Played look={look} name={file.name} path={path} onFail={fail} />;
}

interface ShownProps {
  readonly name: string;
  readonly path: string;
  readonly onFail: () => void;
}

/** One that is there stays; one that is still to come waits until the server is there, and the same. */
function Picture({ name, path, onFail }: ShownProps) {
  const away = useAway();
  const [there, setThere] = useState(false);
  const source = there || !away ? { src: path } : {};
  return (
    <a {...(away ? {} : { href: path })} target="_blank" rel="noreferrer" className="block border-b border-line bg-sunken">
      <img {...source} alt={name} loading="lazy" onLoad={() => setThere(true)} onError={onFail} className="mx-auto h-48 max-w-full object-contain" />
    </a>
  );
}

/** It is read a part at a time: while the server is away nothing is, and then it goes on where it was. */
function Played({ look, name, path, onFail }: ShownProps & { look: "video" | "sound" }) {
  const away = useAway();
  const place = useRef(0);
  const node = useRef<HTMLMediaElement>(null);
  useEffect(() => {
    // Without its source it goes on with what it has asked for, until it is told to load what there is: nothing.
    if (away) node.current?.load();
  }, [away]);
  const shared = {
    ...(away ? {} : { src: path }),
    "aria-label": name,
    controls: true,
    preload: "metadata",
    onError: onFail,
    onKeyDown: keepArrows,
    onTimeUpdate: (event: SyntheticEvent<HTMLMediaElement>) => (place.current = event.currentTarget.currentTime),
    onLoadedMetadata: (event: SyntheticEvent<HTMLMediaElement>) => {
      if (place.current > 0) event.currentTarget.currentTime = place.current;
    },
  };
  if (look === "video") return <video {...shared} ref={node as Ref<HTMLVideoElement>} className="h-48 w-full border-b border-line bg-sunken" />;
  return <audio {...shared} ref={node as Ref<HTMLAudioElement>} className="w-full border-b border-line bg-sunken p-2" />;
}

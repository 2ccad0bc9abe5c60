// A file that becomes base64 in the args. How much fits is said before one is chosen, and looked at before it is read.

import { useContext, useState } from "react";
import { Field, IconButton, size } from "../ui/index.ts";
import { hintOf, idOf, SurroundingsContext, useErrors, type ControlProps } from "./parts.tsx";
import type { FileField } from "./schema.ts";

/** Base64 makes four characters of three bytes. */
export const encodedBytes = (bytes: number): number => Math.ceil(bytes / 3) * 4;
export const decodedBytes = (base64: string): number => Math.floor((base64.length * 3) / 4) - (base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0);

export function base64Of(file: Blob): Promise<string> {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result).replace(/^[^,]*,/, ""));
    reader.onerror = () => fail(reader.error ?? new Error("the file cannot be read"));
    reader.readAsDataURL(file);
  });
}

/** Pictures that every browser draws; anything else is not guessed at. */
function pictureOf(base64: string): string | null {
  if (base64.startsWith("iVBORw0KGgo")) return `data:image/png;base64,${base64}`;
  return base64.startsWith("/9j/") ? `data:image/jpeg;base64,${base64}` : null;
}

export function Attached({ value, label, onRemove }: { value: string; label: string; onRemove: () => void }) {
  const picture = pictureOf(value);
  return (
    <span className="inline-flex h-12 max-w-full items-center gap-2 rounded-md border border-line bg-surface pl-2 text-sm">
      {picture === null ? null : <img src={picture} alt="" className="size-9 rounded object-contain" />}
      <span className="truncate">{size(decodedBytes(value))}</span>
      <IconButton icon="close" label={`Remove ${label}`} onClick={onRemove} />
    </span>
  );
}

interface PickProps {
  readonly id: string;
  readonly label: string;
  readonly media: string | undefined;
  readonly several: boolean;
  readonly onFiles: (files: readonly string[]) => void;
  readonly onProblem: (problem: string | null) => void;
  readonly control?: object;
}

export function FilePicker({ id, label, media, several, onFiles, onProblem, control = {} }: PickProps) {
  const { fileBytesMax } = useContext(SurroundingsContext);
  const [busy, setBusy] = useState(false);
  const take = async (files: readonly File[]): Promise<void> => {
    const sum = files.reduce((total, file) => total + encodedBytes(file.size), 0);
    if (sum > fileBytesMax) {
      return onProblem(`${files.length === 1 ? "The file is" : "The files are"} too large: ${size(sum)} as base64, and ${size(Math.max(0, fileBytesMax))} fit.`);
    }
    setBusy(true);
    try {
      onFiles(await Promise.all(files.map(base64Of)));
      onProblem(null);
    } catch (error) {
      onProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <input
      {...control}
      id={id}
      type="file"
      aria-label={label}
      multiple={several}
      disabled={busy}
      {...(media === undefined ? {} : { accept: media })}
      onChange={(event) => {
        const files = [...(event.target.files ?? [])];
        event.target.value = "";
        if (files.length > 0) void take(files);
      }}
      className="w-full min-w-0 rounded-md border border-dashed border-edge/60 p-2 text-sm file:mr-3 file:h-7 file:rounded-md file:border file:border-line file:bg-surface file:px-2 file:text-ink"
    />
  );
}

export function roomHint(fileBytesMax: number): string {
  return `A file; up to ${size((Math.max(0, fileBytesMax) / 4) * 3)} still fit.`;
}

export function FileControl({ field, value, pointer, onChange }: ControlProps<FileField>) {
  const { fileBytesMax } = useContext(SurroundingsContext);
  const [problem, setProblem] = useState<string | null>(null);
  const errors = [...(problem === null ? [] : [problem]), ...useErrors(pointer)];
  return (
    <Field id={idOf(pointer)} label={field.title} hint={hintOf(field, value, roomHint(fileBytesMax))} errors={errors} required={field.required}>
      {(control) => (
        <div className="grid gap-2">
          {typeof value === "string" && value !== "" ? <Attached value={value} label={field.title} onRemove={() => onChange(undefined)} /> : null}
          <FilePicker id={control.id} control={control} label={field.title} media={field.media} several={false} onFiles={(files) => onChange(files[0])} onProblem={setProblem} />
        </div>
      )}
    </Field>
  );
}

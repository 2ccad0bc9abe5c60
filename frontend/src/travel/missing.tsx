// A moment that the log does not have: dropped since, or not yet there. Says which, and leads on.

import { ApiProblem } from "../api/index.ts";
import { Button, Icon, wordsOf } from "../ui/index.ts";
import { numberOf } from "./words.ts";

interface Props {
  readonly at: number;
  readonly error: unknown;
  readonly earliest: number;
  readonly last: number | null;
  readonly go: (seq: number | null) => void;
}

/** The log does not have this place: where it begins and ends by now is not what we thought. */
export function isLost(error: unknown): boolean {
  return error instanceof ApiProblem && error.status === 410;
}

export function NoSuchMoment({ at, error, earliest, last, go }: Props) {
  // The same code says both of the server's answers to a place that it does not have.
  const ahead = last !== null && at > last;
  const trimmed = !ahead && (at < earliest || isLost(error));
  const said = error === null ? null : wordsOf(error);
  const words = trimmed
    ? `Event ${numberOf(at)} is no longer in the log${at < earliest ? `: it begins with ${numberOf(earliest)}` : ""}.`
    : ahead
      ? `There is no event ${numberOf(at)} yet: the last is ${numberOf(last)}.`
      : [said?.title ?? "This moment cannot be shown.", said?.hint ?? ""].join(" ");
  return (
    <div role="alert" className="flex flex-wrap items-center gap-2 text-sm">
      <Icon name="warning" className="text-bad" />
      <span>{words}</span>
      {trimmed ? <Button onClick={() => go(earliest)}>Go to the earliest</Button> : null}
      {ahead ? <Button onClick={() => go(last)}>Go to the last</Button> : null}
    </div>
  );
}

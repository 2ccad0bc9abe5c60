// How far a job is. Without a percentage, a stripe that wanders says that it works.

export function Progress({ percent, label }: { percent: number | null; label: string }) {
  const known = percent !== null;
  const width = Math.min(100, Math.max(0, percent ?? 0));
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(known ? { "aria-valuenow": Math.round(width) } : {})}
      className="h-1.5 w-full overflow-hidden rounded-full bg-line"
    >
      <div className={`h-full rounded-full bg-running ${known ? "" : "wandering w-1/3"}`} style={known ? { width: `${width}%` } : {}} />
    </div>
  );
}

// A few values of which one is chosen: buttons in a row.

interface Props<T extends string> {
  readonly label: string;
  readonly options: readonly { readonly value: T; readonly label: string }[];
  readonly value: T;
  readonly onChange: (value: T) => void;
}

export function Choice<T extends string>({ label, options, value, onChange }: Props<T>) {
  return (
    <div role="group" aria-label={label} className="inline-flex rounded-md border border-line bg-surface p-px">
      {options.map((option) => {
        const chosen = option.value === value;
        return (
          <button
            key={option.value}
            type="button"
            aria-pressed={chosen}
            onClick={() => onChange(option.value)}
            className={`h-7 rounded px-2 text-sm whitespace-nowrap ${chosen ? "bg-chosen font-semibold text-ink" : "text-muted hover:bg-hover hover:text-ink"}`}
          >
            {option.label}
          </button>
        );
      })}
    </div>
  );
}

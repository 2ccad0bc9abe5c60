//! Numbers as people write and read them: spans of time, moments as seen from now, sizes. Must never be used for JSON.

use crate::domain::time::Timestamp;

/// Reads a span of time: seconds, or a number with s, m, h or d. Not negative, at most ten years.
pub fn seconds_of(text: &str) -> Result<f64, String> {
    const SECONDS_MAX: f64 = 10.0 * 365.0 * 86_400.0;
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        Some((at, 'd')) => (&text[..at], 86_400.0),
        _ => (text, 1.0),
    };
    match number.parse::<f64>() {
        Ok(number) if (0.0..=SECONDS_MAX).contains(&(number * unit)) => Ok(number * unit),
        _ => Err("a span of time is written like 90, 1.5, 10m, 2h or 1d".into()),
    }
}

/// Writes a span of time of so many milliseconds in one or two units.
pub fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{}.{} s", seconds, ms % 1000 / 100),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How long ago a moment was, in one unit, or how far ahead it is.
pub fn seen_from(now: Timestamp, moment: Timestamp) -> String {
    let rough = |ms: u64| match ms / 1000 {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    };
    if moment > now {
        format!("in {}", rough(moment.since(now).0))
    } else {
        format!("{} ago", rough(now.since(moment).0))
    }
}

/// Writes a number of bytes.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}

/// Cuts a text to its first line and to so many characters.
pub fn short(text: &str, chars_max: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= chars_max && line.len() == text.trim_end().len() {
        return line.to_owned();
    }
    let kept: String = line.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_and_without_a_unit() {
        assert_eq!(seconds_of("90"), Ok(90.0));
        assert_eq!(seconds_of("1.5"), Ok(1.5));
        assert_eq!(seconds_of("2h"), Ok(7200.0));
        assert_eq!(seconds_of("1d"), Ok(86_400.0));
        for bad in ["", "h", "-1", "1w", "NaN", "inf", "99999d", "1 h", "ü"] {
            assert!(seconds_of(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn spans_moments_and_sizes_are_written_for_people() {
        assert_eq!(
            [span(3_240), span(65_000), span(7_260_000), span(180_000_000)],
            ["3.2 s", "1 min 05 s", "2 h 01 min", "2 d 2 h"]
        );
        let now = Timestamp::from_ms(1_790_000_000_000);
        assert_eq!(seen_from(now, Timestamp::from_ms(1_790_000_000_000 - 200_000)), "3 min ago");
        assert_eq!(seen_from(now, Timestamp::from_ms(1_790_000_000_000 + 9_000)), "in 9 s");
        assert_eq!([size(17), size(2048), size(5 << 20)], ["17 B", "2.0 KiB", "5.0 MiB"]);
        assert_eq!(short("one\ntwo", 10), "one…");
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(short("abcd", 4), "abcd");
    }
}

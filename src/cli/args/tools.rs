//! The tools for the log, as they can be typed: `replay`, `export`, `import`,
//! `restore`.

use std::path::PathBuf;

use clap::Args;

use crate::app::replay::Moment;
use crate::cli::args::{id_of, time_of};
use crate::domain::id::{JobId, Seq};

/// Where what a replay reads comes from, and what it gives.
pub const REPLAY_HELP: &str = "\
Without --diff, --verify or --job it gives the state behind the last event: how many jobs are in each
state, and the fold, a hash of all of it: equal folds, equal states. On a terminal the log is played
forward while it is read. Nothing is changed. A server whose --data is read must be stopped; with
--server a running one is read, which is slower.

  daybook replay --data daybook-data --until 2026-11-22T06:00:00Z
  daybook replay --speed 60 --until 5000
  daybook replay --diff 4000..5000 --json
  daybook replay --resubmit --filter 'kind=resize&state=failed' --server http://127.0.0.1:7979";

#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The data of a stopped server [default: daybook-data, unless --from or --server is given].
    #[arg(long, value_name = "DIR", env = "DAYBOOK_DATA")]
    pub data: Option<PathBuf>,
    /// A file that `daybook export` wrote; - for stdin.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Stop behind this event, or behind the last one up to this time.
    #[arg(long, value_name = "SEQ|TIME", value_parser = moment_of)]
    pub until: Option<Moment>,
    /// So many times as fast as it happened: 1, 60, 0.5, or max.
    #[arg(long, value_name = "N|max", default_value = "max", value_parser = speed_of)]
    pub speed: Speed,
    /// The events of this job only, each with the state in which it left the job.
    #[arg(long, value_name = "ID", value_parser = id_of)]
    pub job: Option<JobId>,
    /// Whether the stored views and snapshots equal the fold; names the first difference of each, and ends with 1.
    #[arg(long, conflicts_with_all = ["until", "job", "diff", "from"])]
    pub verify: bool,
    /// What changed between two moments: jobs that came, moved and ended, also by queue and kind.
    #[arg(long, value_name = "SEQ..SEQ", value_parser = span_of, conflicts_with_all = ["until", "job"])]
    pub diff: Option<(Moment, Moment)>,
    /// Submit the jobs of the log again, to the server that --server names.
    #[arg(long, conflicts_with_all = ["verify", "job", "diff"])]
    pub resubmit: bool,
    /// Which jobs, as the list of jobs takes it and as they are at the end: kind=resize&state=failed.
    #[arg(long, value_name = "FILTER", requires = "resubmit")]
    pub filter: Option<String>,
    /// Submit them with their unique keys.
    #[arg(long, requires = "resubmit")]
    pub keep_keys: bool,
    /// The name of a run that was broken off: what it has submitted is not submitted again.
    #[arg(long, value_name = "NAME", requires = "resubmit", value_parser = run_of)]
    pub run: Option<String>,
}

#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The data of a stopped server; without it, the running one that --server names.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where the lines go [default: stdout]. A file that an export left is gone on with.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the file anew, whatever is in it.
    #[arg(long, requires = "out")]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Where the data shall be: a directory that is empty or not there yet.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// What `daybook export` wrote; - for stdin.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The directory that `daybook backup` filled.
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// Where the data shall be: a directory that is empty or not there yet.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// As it was behind this event, or behind the last one up to this time.
    #[arg(long, value_name = "SEQ|TIME", value_parser = moment_of)]
    pub until: Option<Moment>,
    /// The name of a backup [default: the newest that goes far enough].
    #[arg(long, value_name = "NAME")]
    pub backup: Option<String>,
}

/// How fast a log is played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as it can be read.
    Max,
    /// So many times as fast as it happened.
    Times(f64),
}

fn moment_of(text: &str) -> Result<Moment, String> {
    match text.parse() {
        Ok(seq) => Ok(Moment::Event(Seq(seq))),
        Err(_) => time_of(text).map(Moment::Time).map_err(|error| format!("an event is a number, and {error}")),
    }
}

fn span_of(text: &str) -> Result<(Moment, Moment), String> {
    let (from, to) = text.split_once("..").ok_or("two moments are written like 4000..5000")?;
    match (moment_of(from)?, moment_of(to)?) {
        (Moment::Event(from), Moment::Event(to)) if from > to => Err("the first is behind the second".into()),
        (Moment::Time(from), Moment::Time(to)) if from > to => Err("the first is behind the second".into()),
        moments => Ok(moments),
    }
}

fn run_of(text: &str) -> Result<String, String> {
    const BYTES_MAX: usize = 64;
    let fits = (1..=BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or_else(|| format!("the name of a run has 1 to {BYTES_MAX} printable characters"))
}

fn speed_of(text: &str) -> Result<Speed, String> {
    const TIMES_MAX: f64 = 1e9;
    match text.parse::<f64>() {
        _ if text == "max" => Ok(Speed::Max),
        Ok(times) if times > 0.0 && times <= TIMES_MAX => Ok(Speed::Times(times)),
        _ => Err("a speed is a number above 0, or max".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_event_or_a_time() {
        assert_eq!(moment_of("4711"), Ok(Moment::Event(Seq(4711))));
        assert!(matches!(moment_of("2026-11-22T06:00:00Z"), Ok(Moment::Time(_))));
        assert!(moment_of("yesterday").is_err_and(|error| error.contains("a time is written like")));
        assert!(span_of("5..4").is_err() && span_of("5").is_err() && span_of("4..5").is_ok());
    }

    #[test]
    fn a_speed_is_above_zero() {
        assert_eq!((speed_of("max"), speed_of("0.5")), (Ok(Speed::Max), Ok(Speed::Times(0.5))));
        for bad in ["0", "-1", "nan", "inf", "fast"] {
            assert!(speed_of(bad).is_err(), "{bad}");
        }
    }
}

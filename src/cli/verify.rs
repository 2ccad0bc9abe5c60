//! `verify`: checks the data of a server that is not running.

use std::path::Path;

use crate::app::verify::{CheckError, check};
use crate::cli::console::Console;
use crate::cli::failure::{Failure, Stop};

/// Checks and reports; damage ends with 1.
pub fn run(data: &Path, json: bool, console: &mut Console) -> Result<(), Stop> {
    let report = check(data).map_err(failure)?;
    let verdict = &report.verdict;
    let damaged: Vec<String> = report
        .damaged_snapshots
        .iter()
        .map(|snapshot| format!("the snapshot {}: {}", snapshot.path.display(), snapshot.detail))
        .chain(verdict.differences.iter().cloned())
        .collect();
    if json {
        let document = serde_json::json!({
            "seq": verdict.seq, "fold": verdict.fold, "jobs": verdict.jobs, "finished": verdict.finished,
            "damaged": damaged,
        });
        console.data(&format!("{document}"))?;
    } else {
        console.data(&format!("events    {}", verdict.seq))?;
        console.data(&format!("jobs      {}, of which {} have ended", verdict.jobs, verdict.finished))?;
        console.data(&format!("fold      {}", verdict.fold))?;
    }
    if damaged.is_empty() {
        return Ok(());
    }
    let details = damaged;
    let failure = Failure::of_asker("the views or snapshots do not equal the fold of the log");
    let hint = "they are disposable: stop the server, remove `views` and `snapshots`, and start it again";
    Err(Failure { details, ..failure }.hint(hint).into())
}

fn failure(error: CheckError) -> Stop {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Failure::of_asker(text).into()
}

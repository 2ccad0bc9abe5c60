//! Looks at the jobs' log lines, frame by frame. Each has a checksum; what a power cut tore off the end of a job that
//! still runs is no damage, for those lines were promised to nobody.

use std::path::Path;

use crate::domain::id::JobId;
use crate::storage::check::{Books, Look};
use crate::storage::joblogs::shard_of;
use crate::storage::logfile;

const NEXT_STEP: &str = "the other lines can be read, and the job itself lost nothing; a backup may have this one";

/// Looks at all logs.
pub fn check(look: &mut Look<'_>, books: Option<&dyn Books>) {
    look.each("logs", |look, shard, path| {
        if !look.is_dir(&path) {
            return look.stray(&path, shard);
        }
        look.each(&path, |look, name, path| match name.parse() {
            Ok(job) if shard_of(name) == shard => check_log(look, &path, job, books),
            _ => look.stray(&path, name),
        });
    });
}

fn check_log(look: &mut Look<'_>, path: &Path, job: JobId, books: Option<&dyn Books>) {
    look.findings.counts.job_logs += 1;
    let has_ended = books.map(|books| books.has_ended(job));
    if has_ended == Some(None) {
        return look.leftover(path, "the log knows no such job");
    }
    let examined = match logfile::examine(&look.data.join(path)) {
        Ok(examined) => examined,
        Err(error) => return look.unreadable(path, &error, NEXT_STEP),
    };
    for line in examined.damaged {
        look.damaged(path, Some(format!("line {line}")), "its checksum is wrong", NEXT_STEP);
    }
    match examined.torn_at {
        None => {}
        Some(at) if has_ended == Some(Some(true)) => {
            look.damaged(
                path,
                Some(format!("byte {at}")),
                "no line begins there, though lines were written",
                NEXT_STEP,
            );
        }
        Some(at) => look
            .leftover(path, format!("the last lines are torn, from byte {at} on; a server cuts them off, and says so")),
    }
}

//! Looks at the files that jobs left: each that the log names is there, with its size and as its checksum says.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::id::JobId;
use crate::domain::job::FileInfo;
use crate::storage::check::{Books, Look};
use crate::storage::files::{INCOMING, Sum, dir_name, is_checksum};
use crate::storage::imported;

const NEXT_STEP: &str = "bring it back from a backup, or run the job again with `daybook jobs retry`";

/// Looks at all files, and holds them against what the log names.
pub fn check(look: &mut Look<'_>, books: Option<&dyn Books>) {
    let none = BTreeMap::new();
    let expected = books.map_or(&none, |books| books.files());
    look.each("files", |look, name, path| match name.parse::<JobId>() {
        _ if name == INCOMING => {}
        Ok(job) if dir_name(job) == name && look.is_dir(&path) => {
            check_dir(look, &path, job, books, expected.get(&job))
        }
        _ => look.stray(&path, name),
    });
    // An exported log came without the files of its jobs.
    let imported = imported::last_imported(look.data);
    let left_out = imported::left_out(look.data);
    for (job, files) in expected {
        let dir = Path::new("files").join(dir_name(*job));
        if job.ordinal() <= imported && !look.is_dir(&dir) {
            continue;
        }
        let is_left_out = |file: &&FileInfo| left_out.contains(&(*job, file.name.to_string()));
        let is_missing = |file: &&FileInfo| !look.data.join(&dir).join(&*file.name).exists();
        for file in files.iter().filter(is_missing).filter(|file| !is_left_out(file)) {
            look.damaged(&dir.join(&*file.name), None, format!("it is missing; it had {} bytes", file.size), NEXT_STEP);
        }
    }
}

fn check_dir(look: &mut Look<'_>, dir: &Path, job: JobId, books: Option<&dyn Books>, expected: Option<&Vec<FileInfo>>) {
    let has_ended = books.map(|books| books.has_ended(job));
    if has_ended == Some(None) {
        return look.leftover(dir, "the log knows no such job");
    }
    look.each(dir, |look, name, path| {
        if is_checksum(name) {
            return;
        }
        let info = expected.into_iter().flatten().find(|file| &*file.name == name);
        if books.is_some() && info.is_none() {
            return look.leftover(&path, "the log does not name it: it was stored, and a crash came before its event");
        }
        check_file(look, &path, info, has_ended == Some(Some(true)));
    });
}

fn check_file(look: &mut Look<'_>, path: &Path, info: Option<&FileInfo>, has_ended: bool) {
    look.findings.counts.files += 1;
    let (sum, kept) =
        match Sum::of_file(&look.data.join(path)).and_then(|sum| Ok((sum, Sum::kept(&look.data.join(path))?))) {
            Ok(found) => found,
            Err(error) => return look.unreadable(path, &error, NEXT_STEP),
        };
    let is_whole = kept.contains(&Some(sum));
    match info.map(|info| info.size).filter(|size| *size != sum.bytes) {
        // It was replaced, and a crash came before the event: the run will store it again.
        Some(_) if is_whole && !has_ended => look.leftover(path, "a crash came before the event of its replacement"),
        Some(size) => {
            let detail = format!("it has {} bytes, and the log says {size}", sum.bytes);
            look.damaged(path, None, detail, NEXT_STEP);
        }
        None if kept.is_empty() => look.leftover(path, "it has no checksum: only its size was compared"),
        None if is_whole => {}
        None => look.damaged(path, None, "it is not what was stored: its checksum is wrong", NEXT_STEP),
    }
}

//! Looks at HEAD, at the segments, their seals and their payload files.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::domain::id::Seq;
use crate::storage::check::{Look, RESTORE, REWRITTEN, base, sled_files};
use crate::storage::head::{self, Head};
use crate::storage::open::explain;
use crate::storage::payloads;
use crate::storage::recovery;
use crate::storage::scan::find_pages;
use crate::storage::seal::{Seal, SealedSegment};
use crate::storage::segment::{file_of, first_of};

/// Looks at the whole log. Says whether it was closed in order.
pub fn check(look: &mut Look<'_>) -> bool {
    let head = check_head(look);
    let is_closed = head.is_some_and(|head| head.clean);
    let last = recovery::segments_in(&look.data.join("log")).ok().and_then(|firsts| firsts.last().copied());
    look.each("log", |look, name, path| match first_of(name) {
        _ if name == "HEAD" => {}
        _ if name == "base" || name == "carried" => {}
        Some(first) if head.is_some_and(|head| first < head.earliest) => {
            look.leftover(&path, "the base stands for it; the next start removes it");
        }
        Some(first) if last == Some(first) && is_being_made(&look.data.join(&path), first, head) => {
            look.leftover(&path, "it has no events yet; the next start goes on with it, or makes it anew");
        }
        Some(_) => check_segment(look, &path, is_closed),
        None => look.stray(&path, name),
    });
    if let Some(head) = head {
        base::check(look, &head);
    }
    is_closed
}

/// Whether a crash came while the last segment was made: HEAD promises nothing of it, and no page is in it.
fn is_being_made(dir: &Path, first: Seq, head: Option<Head>) -> bool {
    let is_promised = head.is_none_or(|head| head.promises_pages_in(first));
    let pages = File::open(file_of(dir)).and_then(|file| find_pages(&file, &mut blake3::Hasher::new()));
    let has_pages = match pages {
        Ok(found) => !found.is_empty(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    !is_promised && !has_pages
}

fn check_head(look: &mut Look<'_>) -> Option<Head> {
    let path = Path::new("log").join("HEAD");
    match head::examine(&look.data.join(&path)) {
        Ok(examined) => {
            let next_step = if examined.newest.is_some() { REWRITTEN } else { RESTORE };
            for flaw in examined.flaws {
                look.damaged(&path, Some(flaw.place), flaw.detail, next_step);
            }
            examined.newest
        }
        Err(error) => {
            look.unreadable(&path, &error, RESTORE);
            None
        }
    }
}

fn check_segment(look: &mut Look<'_>, segment: &Path, is_closed: bool) {
    look.findings.counts.segments += 1;
    let dir = look.data.join(segment);
    let sealed = match Seal::read(&dir) {
        Ok(Some(seal)) => {
            check_sealed(look, segment, &seal);
            true
        }
        Ok(None) => false,
        Err(error) => {
            look.damaged(&segment.join("SEALED"), None, explain(&error), RESTORE);
            true
        }
    };
    if !sealed {
        sled_files::check_database(look, segment, is_closed, RESTORE);
    }
    look.each(segment, |look, name, path| match name {
        "db" | "conf" | "blobs" | "payloads" | "SEALED" => {}
        _ if sled_files::is_snapshot(name) => {}
        _ => look.stray(&path, name),
    });
    check_payloads(look, &segment.join("payloads"));
}

fn check_sealed(look: &mut Look<'_>, segment: &Path, seal: &Seal) {
    let dir = look.data.join(segment);
    if let Err(error) = SealedSegment::open(&dir, seal) {
        look.damaged(&segment.join("SEALED"), None, explain(&error), RESTORE);
    }
    let database = segment.join("db");
    match seal.fits(&dir) {
        Ok(true) => {}
        Ok(false) => look.damaged(&database, None, "it is not as it was sealed: its hash differs", RESTORE),
        Err(error) => look.unreadable(&database, &error, RESTORE),
    }
}

/// A payload file is named by the hash of what is in it.
fn check_payloads(look: &mut Look<'_>, dir: &Path) {
    look.each(dir, |look, name, path| {
        let Some(expected) = payloads::hash_of_name(name) else { return look.stray(&path, name) };
        look.findings.counts.payload_files += 1;
        match payloads::hash_of_file(&look.data.join(&path)) {
            Ok(hash) if hash == expected => {}
            Ok(_) => look.damaged(&path, None, "it is not what was written: its hash is not its name", RESTORE),
            Err(error) => look.unreadable(&path, &error, RESTORE),
        }
    });
}

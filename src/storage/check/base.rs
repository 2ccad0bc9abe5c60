//! Looks at the base of a log whose oldest events were dropped, and at what it carries.

use std::path::Path;

use crate::domain::id::Seq;
use crate::storage::base::{Manifest, PARTS};
use crate::storage::check::{Look, RESTORE_BASE};
use crate::storage::head::Head;
use crate::storage::open::explain;
use crate::storage::payloads::hash_of_file;
use crate::storage::segment::{first_of, name_of};

const BASES: &str = "log/base";
const CARRIED: &str = "log/carried";
const UNUSED: &str = "no base names it; the next start removes it";

/// Looks at the base that HEAD names, and tells what else is there.
pub fn check(look: &mut Look<'_>, head: &Head) {
    let named = (head.earliest > Seq(1)).then(|| Path::new(BASES).join(name_of(head.earliest)));
    let manifest = named.as_ref().and_then(|dir| check_manifest(look, dir, head));
    let carried: Vec<([u8; 32], String)> = manifest
        .as_ref()
        .map_or_else(Vec::new, |manifest| manifest.carried.iter().map(|name| (name.hash, name.file_name())).collect());
    if let (Some(dir), Some(manifest)) = (&named, &manifest) {
        for (name, part) in PARTS.iter().zip(&manifest.parts) {
            check_hash(look, &dir.join(name), part.hash);
        }
        look.each(dir, |look, name, path| {
            if name != "MANIFEST" && !PARTS.contains(&name) {
                look.stray(&path, name);
            }
        });
    }
    for (hash, name) in &carried {
        check_hash(look, &Path::new(CARRIED).join(name), *hash);
    }
    look.each(BASES, |look, name, path| {
        if named.is_none() || first_of(name) != Some(head.earliest) {
            look.leftover(&path, UNUSED);
        }
    });
    // Without its manifest it is not known what a base carries: nothing is called unused then.
    let is_known = named.is_none() || manifest.is_some();
    look.each(CARRIED, |look, name, path| {
        if is_known && carried.iter().all(|(_, listed)| listed != name) {
            look.leftover(&path, UNUSED);
        }
    });
}

fn check_manifest(look: &mut Look<'_>, dir: &Path, head: &Head) -> Option<Manifest> {
    let detail = match Manifest::read(&look.data.join(dir)) {
        Ok(manifest) if (manifest.start.lineage, manifest.start.next) == (head.lineage, head.earliest) => {
            return Some(manifest);
        }
        Ok(_) => "it belongs to another log".to_owned(),
        Err(error) => explain(&error),
    };
    look.damaged(&dir.join("MANIFEST"), None, detail, RESTORE_BASE);
    None
}

fn check_hash(look: &mut Look<'_>, file: &Path, expected: [u8; 32]) {
    match hash_of_file(&look.data.join(file)) {
        Ok(hash) if hash == expected => {}
        Ok(_) => look.damaged(file, None, "it is not as it was written: its hash differs", RESTORE_BASE),
        Err(error) => look.unreadable(file, &error, RESTORE_BASE),
    }
}

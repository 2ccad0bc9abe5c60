//! Each rule is made to fail on a small source, and leaves alone what only looks like a violation.

use crate::check;
use crate::source::{Source, mark_test_modules};

/// The violations of one file with a module doc, as text.
fn found(path: &str, code: &str) -> Vec<String> {
    check(&[Source::new(path, &format!("//! A doc.\n{code}\n"))]).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn broken(path: &str, code: &str, rule: &str) {
    let found = found(path, code);
    assert!(found.len() == 1 && found[0].contains(rule), "{path} with {code:?} breaks {rule:?} once: {found:?}");
    assert!(found[0].starts_with(&format!("{path}:2: ")), "the line is named: {found:?}");
}

#[track_caller]
fn fine(path: &str, code: &str) {
    assert_eq!(found(path, code), Vec::<String>::new(), "{path} with {code:?}");
}

#[test]
fn an_import_that_runs_outward_is_found() {
    broken("src/log/mod.rs", "use crate::engine::Handle;", "log may not import engine");
    broken("src/domain/job.rs", "fn f() -> crate::log::Seq { g() }", "domain may not import log");
    broken("src/api/jobs.rs", "use crate::storage::Log;", "api may not import storage");
    broken("src/kinds/mod.rs", "use crate::engine::Handle;", "kinds may not import engine");
    broken("src/main.rs", "use daybook::app::serve;", "main may not import app");
    assert!(found("src/attic/mod.rs", "")[0].contains("nobody knows the room attic"));
    fine("src/engine/mod.rs", "use crate::log::{AppendError, EventLog};\nuse crate::engine::runner::Runner;");
    fine("src/app.rs", "use crate::storage::Log;\nuse crate::api::Routes;");
}

#[test]
fn a_group_at_the_root_of_the_crate_is_found() {
    broken("src/engine/mod.rs", "use crate::{log, views};", "hides who is imported");
}

#[test]
fn a_confined_name_outside_its_room_is_found() {
    broken("src/engine/mod.rs", "use sled::Db;", "sled stands only in src/storage/");
    broken("src/app.rs", "fn f(db: ::sled::Db) {}", "sled stands only in src/storage/");
    broken("src/app.rs", "use warp;", "warp stands only in src/api/");
    broken("src/log/mod.rs", "use bincode::config;", "bincode stands only in src/log/codec");
    broken("src/app.rs", "use tokio::process::Command;", "tokio::process stands only in src/workers/");
    broken("src/storage/mod.rs", "use nix::sys::signal::kill;", "nix stands only in src/workers/");
    broken("src/app.rs", "use std::process::Command;", "std::process::Command stands only in src/workers/");
    broken("src/config.rs", "#[derive(clap::Parser)]", "clap stands only in src/cli/, src/main.rs");
    broken("src/api/mod.rs", "use axum::Router;", "axum stands nowhere");
    fine("src/storage/space.rs", "use nix::sys::statvfs::statvfs;\nuse sled::Db;");
    fine("src/app.rs", "// sled::Db\nconst A: &str = \"warp::path\"; fn f(warp: u8) -> u8 { warp }");
    fine("src/log/codec/frame.rs", "use bincode::config;");
}

#[test]
fn a_function_over_70_lines_is_found_whatever_its_literals_hold() {
    let body =
        |lines: usize| format!("fn long<'a>(c: char) {{\n{}}}", "    f('{', \"}\", r#\"}\"#); // }\n".repeat(lines));
    broken("src/engine/mod.rs", &body(69), "fn long has 71 lines");
    broken("tests/it/jobs.rs", &body(69), "fn long has 71 lines");
    fine("src/engine/mod.rs", &body(68));
    fine("src/engine/mod.rs", &format!("type F = fn(u8) -> u8;\ntrait T {{ fn f(&self); }}\n{}", "\n".repeat(90)));
}

#[test]
fn a_file_without_a_doc_or_over_600_lines_is_found() {
    let bare = check(&[Source::new("src/engine/mod.rs", "use std::fmt;\n")]);
    assert!(bare.len() == 1 && bare[0].to_string().starts_with("src/engine/mod.rs:1: the module doc is missing"));
    let long = found("src/engine/mod.rs", &"\n".repeat(600));
    assert!(long.len() == 1 && long[0].contains("the file has 602 lines"), "{long:?}");
}

#[test]
fn words_of_a_draft_are_found() {
    broken("src/engine/mod.rs", concat!("// TO", "DO: later"), "stays in the tree");
    broken("src/engine/mod.rs", "fn f() { dbg!(1); }", "dbg! stays in the tree");
    broken("src/engine/mod.rs", "fn f() { todo!() }", "todo! stays in the tree");
    broken("src/engine/mod.rs", "fn f() { unimplemented!() }", "unimplemented! stays in the tree");
    broken("src/engine/mod.rs", concat!("const STATE: &str = \"Cance", "led\";"), "one l");
    fine("src/engine/mod.rs", "const A: &str = \"todo!\"; // cancelled");
}

#[test]
fn an_unwrap_outside_tests_is_found() {
    broken("src/engine/mod.rs", "fn f() { g().unwrap(); }", "unwrap() outside tests");
    fine("src/engine/mod.rs", "#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap(); }\n}");
    fine("tests/it/jobs.rs", "fn f() { g().unwrap(); }");
    let mut behind = [
        Source::new("src/log/mod.rs", "//! A doc.\n#[cfg(test)]\npub mod suite;\n"),
        Source::new("src/log/suite.rs", "//! A doc.\nfn f() { g().unwrap(); }\n"),
    ];
    mark_test_modules(&mut behind);
    assert!(check(&behind).is_empty(), "a module for tests may unwrap");
}

#[test]
fn a_test_that_sleeps_is_found() {
    broken("tests/it/jobs.rs", "fn f() { std::thread::sleep(SECOND); }", "a test sleeps");
    broken("src/engine/mod.rs", "#[cfg(test)] mod tests { fn f() { sleep(SECOND) } }", "a test sleeps");
    fine("src/workers/mod.rs", "fn f() { tokio::time::sleep(SECOND) }");
}

#[test]
fn a_path_that_climbs_out_is_found() {
    broken("src/domain/decide/tick.rs", "use super::super::job::Job;", "climbs twice");
    broken("src/engine/mod.rs", "use super::log::EventLog;", "leads out of the room");
    fine("src/engine/mod.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n}");
}

#[test]
fn a_warning_switched_off_without_a_reason_is_found() {
    broken("src/engine/mod.rs", "#[allow(dead_code)]", "without a reason");
    fine("src/engine/mod.rs", "#[allow(dead_code, reason = \"the next release uses it\")]");
}

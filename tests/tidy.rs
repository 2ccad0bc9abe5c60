//! The house rules, kept by a test: who may import whom, which names stay in which room, how long a function may be,
//! and a few words that must not stay in the tree. It reads the sources as text and never changes them.
//!
//! A violation says where it is, which rule it breaks and what to do. Each rule is made to fail in `made_to_fail`.

#[path = "tidy/made_to_fail.rs"]
mod made_to_fail;
#[path = "tidy/source.rs"]
mod source;

use std::fmt;
use std::path::Path;

use crate::source::{Source, body_after, identifier, paths, plain_uses, read_tree, words_of};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 600;

/// The rooms inside the adapters' ring.
const INNER: [&str; 10] =
    ["domain", "log", "views", "feed", "engine", "kinds", "schedules", "clock", "metrics", "shutdown"];
/// What an adapter may import: the rooms further in, never another adapter.
const ADAPTER: [&str; 14] = [
    "domain",
    "log",
    "views",
    "feed",
    "engine",
    "kinds",
    "schedules",
    "clock",
    "metrics",
    "shutdown",
    "sessions",
    "live",
    "auth",
    "config",
];
/// Subscriptions read the lines of jobs by the port of sessions.
const LIVE: [&str; 9] = ["domain", "log", "views", "feed", "engine", "kinds", "clock", "metrics", "sessions"];
/// What the composition root may import: all but those who call it.
const APP: [&str; 19] = [
    "domain",
    "log",
    "views",
    "feed",
    "engine",
    "kinds",
    "schedules",
    "clock",
    "metrics",
    "shutdown",
    "sessions",
    "live",
    "auth",
    "config",
    "telemetry",
    "storage",
    "workers",
    "maintenance",
    "api",
];

/// Each room and the rooms that it may import. ARCHITECTURE shows the same as a drawing.
const ROOMS: [(&str, &[&str]); 23] = [
    ("domain", &[]),
    ("clock", &["domain"]),
    ("metrics", &[]),
    ("telemetry", &[]),
    ("shutdown", &[]),
    ("auth", &["domain"]),
    ("log", &["domain"]),
    ("feed", &["domain", "log"]),
    ("views", &["domain", "log", "feed"]),
    ("engine", &["domain", "log", "views", "feed", "clock", "metrics"]),
    ("kinds", &["domain"]),
    ("schedules", &["domain", "kinds"]),
    ("config", &["domain", "kinds", "schedules", "auth"]),
    ("sessions", &INNER),
    ("live", &LIVE),
    ("storage", &ADAPTER),
    ("workers", &ADAPTER),
    ("maintenance", &ADAPTER),
    ("api", &ADAPTER),
    ("app", &APP),
    ("cli", &["app", "config", "domain", "kinds", "log", "views", "clock", "telemetry", "shutdown"]),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// A name from outside, and the beginnings of the paths below `src/` where it may stand.
const CONFINED: [(&str, &[&str]); 26] = [
    ("croner", &["schedules/"]),
    ("rust_embed", &["api/assets/embedded.rs"]),
    ("sled", &["storage/"]),
    ("warp", &["api/"]),
    ("hyper", &["api/"]),
    ("hyper_util", &["api/"]),
    ("http_body_util", &["api/"]),
    ("tower_service", &["api/"]),
    ("bincode", &["log/codec"]),
    ("tokio::process", &["workers/"]),
    ("std::process::Command", &["workers/"]),
    ("nix", &["workers/"]),
    // Files and disks are no processes: free space and locks are the storage's business.
    ("nix::fcntl", &["workers/", "storage/"]),
    ("nix::sys::stat", &["workers/", "storage/"]),
    ("nix::sys::statvfs", &["workers/", "storage/"]),
    ("nix::errno", &["workers/", "storage/"]),
    ("clap", &["cli/", "main.rs"]),
    ("clap_complete", &["cli/", "main.rs"]),
    ("anyhow", &["cli/", "main.rs"]),
    // A remote worker is a client: it sends output files, and speaks the WebSocket of workers.
    ("ureq", &["cli/", "workers/remote/"]),
    ("tokio_tungstenite", &["api/", "workers/remote/"]),
    ("indicatif", &["cli/"]),
    ("axum", &[]),
    ("actix_web", &[]),
    ("rocket", &[]),
    ("poem", &[]),
];

/// What tests may name everywhere: to start and kill processes of their own.
const TEST_HELPERS: [&str; 2] = ["std::process::Command", "nix"];

#[test]
fn the_house_is_tidy() {
    let sources = read_tree(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the test reads the tree that it belongs to");
    let found = check(&sources);
    let text: Vec<String> = found.iter().map(Violation::to_string).collect();
    assert!(found.is_empty(), "{} house rules are broken:\n{}", found.len(), text.join("\n"));
}

struct Violation {
    path: String,
    line: usize,
    rule: String,
    cure: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.rule, self.cure)
    }
}

fn check(sources: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources {
        found.extend(words(source));
        if source.path.ends_with(".rs") {
            let rules = [imports, confined, functions, files, macros, unwraps, sleeps, outward_paths, allowances];
            rules.iter().for_each(|rule| found.extend(rule(source)));
        }
    }
    found
}

/// Imports run inward only, one tree a line.
fn imports(source: &Source) -> Vec<Violation> {
    let Some(room) = source.room() else { return Vec::new() };
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![source.broken(
            0,
            format!("nobody knows the room {room}"),
            "give it a line in ROOMS of tests/tidy.rs",
        )];
    };
    let mut found = Vec::new();
    for root in if room == "main" { &["crate", "daybook"][..] } else { &["crate"][..] } {
        for at in paths(&source.code, root) {
            let rest = &source.code[at + root.len() + 2..];
            if rest.starts_with('{') {
                let rule = format!("a group at the root of the crate hides who is imported: use {root}::{{…}}");
                found.push(source.broken(at, rule, "write one use line for each room"));
                continue;
            }
            let target = identifier(rest);
            // A test may build the real thing around its room.
            if target != room && !allowed.contains(&target) && !source.is_test_code(at) {
                let rule = format!("{room} may not import {target}: imports run inward only");
                found.push(source.broken(at, rule, "move the line to the room that may, or ask through a port"));
            }
        }
    }
    found
}

/// A library has its room, so that it can be exchanged there.
fn confined(source: &Source) -> Vec<Violation> {
    let Some(inside) = source.inside() else { return Vec::new() };
    let fits = |allowed: &[&str]| allowed.iter().any(|start| inside.starts_with(start));
    let mut found = Vec::new();
    for (name, allowed) in CONFINED {
        for at in paths(&source.code, name).chain(plain_uses(&source.code, name)) {
            let path = &source.code[at..];
            let exempt = CONFINED.iter().any(|(longer, allowed)| {
                longer.len() > name.len() && longer.starts_with(name) && path.starts_with(longer) && fits(allowed)
            });
            let is_test_helper = TEST_HELPERS.contains(&name) && source.is_test_code(at);
            if !fits(allowed) && !exempt && !is_test_helper {
                let place = if allowed.is_empty() {
                    "nowhere".to_owned()
                } else {
                    format!("only in src/{}", allowed.join(", src/"))
                };
                let rule = format!("{name} stands {place}");
                found.push(source.broken(at, rule, "go through the room that owns it"));
            }
        }
    }
    found
}

/// A function fits on a screen.
fn functions(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for at in words_of(&source.code, "fn") {
        let name = identifier(source.code[at + 2..].trim_start());
        let Some(body) = body_after(&source.code, at) else { continue };
        let lines = source.code[at..body.end].lines().count();
        if !name.is_empty() && lines > FUNCTION_LINES_MAX {
            let rule = format!("fn {name} has {lines} lines, {FUNCTION_LINES_MAX} are the most");
            found.push(source.broken(
                at,
                rule,
                "keep the control flow and move computations into functions of their own",
            ));
        }
    }
    found
}

/// A file says what it is for, and is not too long to read.
fn files(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let first = source.text.lines().next().unwrap_or_default();
    let is_root_of_a_program = source.path.starts_with("tests/") && !source.text.contains("#[test]");
    if !first.starts_with("//! ") && !is_root_of_a_program {
        let cure = "begin the file with //! and say what it is for and what it must never do";
        found.push(source.broken(0, "the module doc is missing", cure));
    }
    let lines = source.text.lines().count();
    if source.inside().is_some() && lines > FILE_LINES_MAX {
        let rule = format!("the file has {lines} lines, {FILE_LINES_MAX} are the most");
        found.push(source.broken(0, rule, "split it by what its parts are for"));
    }
    found
}

/// Words that say the work is not done, and one that has a single spelling here.
fn words(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let cure = "do it now, or open an issue";
    for word in [concat!("TO", "DO"), concat!("FIX", "ME")] {
        found.extend(
            words_of(&source.text, word).map(|at| source.broken(at, format!("{word} stays in the tree"), cure)),
        );
    }
    let american = concat!("cance", "led");
    for (at, _) in source.text.to_ascii_lowercase().match_indices(american) {
        found.push(source.broken(
            at,
            format!("{american} is spelled with one l"),
            "write cancelled, as the contract does",
        ));
    }
    found
}

/// Macros that are for a draft only.
fn macros(source: &Source) -> Vec<Violation> {
    let drafts = ["dbg", "todo", "unimplemented"];
    let calls = drafts.iter().flat_map(|name| words_of(&source.code, name).map(move |at| (*name, at)));
    calls
        .filter(|(name, at)| source.code[at + name.len()..].starts_with('!'))
        .map(|(name, at)| source.broken(at, format!("{name}! stays in the tree"), "finish the line"))
        .collect()
}

/// Outside tests a panic names the invariant that broke.
fn unwraps(source: &Source) -> Vec<Violation> {
    let calls = source.code.match_indices(".unwrap()").map(|(at, _)| at);
    calls
        .filter(|&at| !source.is_test_code(at))
        .map(|at| {
            source.broken(at, "unwrap() outside tests", "write expect(…) with the invariant, or return the error")
        })
        .collect()
}

/// Tests wait for something, never for time to pass.
fn sleeps(source: &Source) -> Vec<Violation> {
    // A benchmark is no test: it keeps a pace.
    if source.path.starts_with("benches/") {
        return Vec::new();
    }
    let names = ["sleep", "sleep_until", "sleep_ms"];
    let calls = names.iter().flat_map(|name| words_of(&source.code, name).map(move |at| (*name, at)));
    calls
        .filter(|(name, at)| source.is_test_code(*at) && source.code[at + name.len()..].starts_with('('))
        .map(|(_, at)| source.broken(at, "a test sleeps", "wait for a signal, or turn a manual clock"))
        .collect()
}

/// The way out of a room begins with `crate::`.
fn outward_paths(source: &Source) -> Vec<Violation> {
    let Some(inside) = source.inside() else { return Vec::new() };
    let is_top = !inside.contains('/') || inside.matches('/').count() == 1 && inside.ends_with("/mod.rs");
    let mut found = Vec::new();
    for at in paths(&source.code, "super") {
        let is_double = source.code[at..].starts_with("super::super");
        if is_double || (is_top && !source.is_test_code(at)) {
            let rule = "super:: leads out of the room or climbs twice";
            found.push(source.broken(at, rule, "write the path from crate::"));
        }
    }
    found
}

/// A warning that is switched off says why.
fn allowances(source: &Source) -> Vec<Violation> {
    let starts = ["#[allow(", "#![allow(", "#[expect(", "#![expect("];
    let places = starts.iter().flat_map(|start| source.code.match_indices(start).map(|(at, _)| at));
    places
        .filter(|&at| !source.code[at..].split(']').next().is_some_and(|attribute| attribute.contains("reason")))
        .map(|at| {
            source.broken(at, "a warning is switched off without a reason", "add reason = \"…\", or cure the cause")
        })
        .collect()
}

//! From where the tools for the log read and where they write: one place and never one of two in silence, pipes and
//! devices as well as files, and `replay --verify` says with what it compared the fold.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::export::{fold_of, json_of, live, run, start};
use crate::server::{BINARY, Said};
use crate::support::server::echo_kind;

/// A directory with a log in `data`, and an export of it.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a place");
    std::fs::write(home.path().join("daybook.toml"), echo_kind(1)).expect("written");
    let server = start(home.path(), "data");
    live(&server, 100);
    assert!(server.stop().success());
    run(home.path(), "export --data data --out log.jsonl").data();
    home
}

/// Runs a command line whose stdin is a pipe with these bytes in it.
fn piped(directory: &Path, line: &str, input: &[u8]) -> Said {
    let mut command = Command::new(BINARY);
    command.args(line.split_whitespace()).current_dir(directory).stdin(Stdio::piped());
    for name in ["DAYBOOK_DATA", "DAYBOOK_SERVER", "DAYBOOK_TOKEN"] {
        command.env_remove(name);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Who refuses what comes need not read it to its end.
    let _ = stdin.write_all(input);
    drop(stdin);
    Said::of(child.wait_with_output().expect("it ends"))
}

fn with_environment(directory: &Path, line: &str, environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(BINARY);
    command.args(line.split_whitespace()).current_dir(directory).stdin(Stdio::null());
    command.env_remove("DAYBOOK_DATA").env_remove("DAYBOOK_SERVER");
    Said::of(command.envs(environment.iter().copied()).output().expect("the binary runs"))
}

#[test]
fn two_sources_are_refused_and_what_is_typed_goes_before_the_environment() {
    let home = home();
    let dir = home.path();
    for (line, words) in [
        ("replay --data data --from log.jsonl", "'--data <DIR>' cannot be used with '--from <FILE>'"),
        ("replay --data data --server http://127.0.0.1:9", "'--data <DIR>' cannot be used with '--server <URL>'"),
        ("replay --from log.jsonl --server http://127.0.0.1:9", "'--from <FILE>' cannot be used with '--server <URL>'"),
        ("replay --data data --verify --speed 5", "cannot be used with '--speed <N>'"),
        ("replay --from log.jsonl --verify", "cannot be used with"),
        ("replay --server http://127.0.0.1:9 --verify", "'--verify' cannot be used with '--server <URL>'"),
        ("export --data data --server http://127.0.0.1:9", "'--data <DIR>' cannot be used with '--server <URL>'"),
        ("verify --data data --server http://127.0.0.1:9", "asks no server"),
    ] {
        let said = run(dir, line);
        assert!(said.code == Some(1) && said.err.contains(words) && said.err.contains("--help"), "{line}: {said:?}");
    }
    let fold = fold_of(dir, "data");
    let elsewhere = [("DAYBOOK_DATA", "nowhere"), ("DAYBOOK_SERVER", "http://127.0.0.1:9")];
    for line in ["replay --json --from log.jsonl", "replay --json --data data", "replay --json --data data --verify"] {
        let said = with_environment(dir, line, &elsewhere).data();
        assert!(said.contains(fold.as_str().unwrap()), "{line}: {said}");
    }
    let said = with_environment(dir, "replay --server http://127.0.0.1:9", &[("DAYBOOK_DATA", "data")]);
    assert!(said.code != Some(0) && said.err.contains("127.0.0.1:9"), "the server was named: {said:?}");
}

#[test]
fn an_export_comes_through_a_pipe_and_goes_where_no_file_is() {
    let home = home();
    let dir = home.path();
    let (whole, fold) = (std::fs::read(dir.join("log.jsonl")).unwrap(), fold_of(dir, "data"));
    for from in ["-", "/dev/stdin"] {
        let said = piped(dir, &format!("replay --json --from {from}"), &whole).data();
        assert!(said.contains(fold.as_str().unwrap()), "{from}: {said}");
    }
    let said = piped(dir, "import --json --data copy -", &whole).data();
    assert!(said.contains(fold.as_str().unwrap()) && fold_of(dir, "copy") == fold, "{said}");
    let said = piped(dir, "replay --from -", &whole[..whole.len() - 9]);
    assert!(said.code == Some(1) && said.err.contains("stdin breaks off behind line"), "{said:?}");
    let said = piped(dir, "replay --from -", b"");
    assert!(said.code == Some(1) && said.err.contains("stdin breaks off"), "{said:?}");

    assert_eq!(json_of(dir, "export --data data --out /dev/null --json")["fold"], fold);
    let said = run(dir, "export --data data --out /dev/stdout").data();
    assert!(said.as_bytes().starts_with(&whole[..whole.len() - 1]), "the lines, and what is said of them");
    let said = run(dir, "export --data data --out data");
    assert!(said.code == Some(1) && said.err.contains("error: ") && said.err.contains("data"), "{said:?}");
}

#[test]
fn blank_lines_at_the_end_of_an_export_are_passed_over_and_nowhere_else() {
    let home = home();
    let dir = home.path();
    let (whole, fold) = (std::fs::read_to_string(dir.join("log.jsonl")).unwrap(), fold_of(dir, "data"));
    for blank in ["\n", "\n\n\n", "\r\n"] {
        std::fs::write(dir.join("blank.jsonl"), format!("{whole}{blank}")).unwrap();
        assert_eq!(json_of(dir, "replay --json --from blank.jsonl")["fold"], fold);
        assert_eq!(json_of(dir, "import --json --data copy blank.jsonl")["fold"], fold);
        std::fs::remove_dir_all(dir.join("copy")).unwrap();
    }
    run(dir, "export --data data --out blank.jsonl").data();
    assert_eq!(std::fs::read_to_string(dir.join("blank.jsonl")).unwrap(), whole);
    let middle = whole.find('\n').unwrap() + 1;
    for other in [
        format!("{}\n{}", &whole[..middle], &whole[middle..]),
        format!("\n{whole}"),
        format!("{whole}\nmore\n"),
        format!("{whole}\n{whole}"),
    ] {
        std::fs::write(dir.join("other.jsonl"), other).unwrap();
        let said = run(dir, "replay --from other.jsonl");
        assert!(said.code == Some(1) && said.err.contains("other.jsonl, line "), "{said:?}");
    }
}

#[test]
fn a_replay_that_verifies_says_with_what_it_compared_the_fold() {
    let home = home();
    let dir = home.path();
    let seq = json_of(dir, "replay --data data --json")["seq"].clone();
    let compared = json_of(dir, "replay --data data --verify --json")["compared"].clone();
    assert!(compared["views"].as_u64().is_some_and(|views| Some(views) <= seq.as_u64()), "{compared}");
    assert_eq!(json_of(dir, "verify --data data --json")["compared"], compared);
    let said = run(dir, "replay --data data --verify").data();
    assert!(said.contains("the stored views, up to event") && said.contains("equal the fold"), "{said}");
    for name in ["views", "snapshots"] {
        let _ = std::fs::remove_dir_all(dir.join("data").join(name));
    }
    let said = run(dir, "replay --data data --verify").data();
    assert!(said.contains("no stored views and no snapshots: nothing to compare the fold with"), "{said}");
    assert!(!said.contains("equal"), "{said}");
    let said = json_of(dir, "replay --data data --verify --json");
    assert_eq!((&said["compared"], &said["differences"]), (&json!({ "views": null, "snapshots": 0 }), &json!([])));
}

//! What a user may write into `daybook.toml`, flags and environment, and what they are told when it is wrong.

use std::path::Path;

use super::*;
use crate::domain::job::StateName;
use crate::domain::retention::Keep;
use crate::domain::schedule::{Missed, Origin, Overlap};

const NOBODY: fn(&str) -> Option<String> = |_| None;

fn directory(toml: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join(FILE_DEFAULT), toml).expect("writes");
    directory
}

fn load_text(toml: &str) -> Result<Config, ConfigError> {
    let directory = directory(toml);
    load(&Flags::default(), &NOBODY, directory.path())
}

fn problems(toml: &str) -> Vec<String> {
    match load_text(toml).expect_err("is wrong") {
        ConfigError::Invalid { problems, .. } => {
            let shown = problems
                .into_iter()
                .map(|problem| format!("{}: {} {}", problem.line.unwrap_or_default(), problem.key, problem.message));
            shown.collect()
        }
        other => panic!("{other}"),
    }
}

#[test]
fn without_a_file_there_are_defaults_and_no_kinds() {
    let empty = tempfile::tempdir().expect("a directory");
    let config = load(&Flags::default(), &NOBODY, empty.path()).expect("resolves");
    assert_eq!(config.listen.to_string(), "127.0.0.1:7878");
    assert_eq!(config.data, empty.path().join("daybook-data"));
    assert_eq!((config.lease, config.reconnect_grace), (Millis::from_secs(30), Millis::from_secs(10)));
    assert_eq!(config.catalog.kinds().count(), 0);
    assert!(config.catalog.takes(&"anything".parse().expect("a name")));
}

#[test]
fn flags_go_over_the_environment_over_the_file() {
    let directory = directory("lease_s = 1\nlisten = \"127.0.0.1:1\"\ndata = \"here\"\nreconnect_grace_s = 0");
    let environment = |name: &str| match name {
        "DAYBOOK_LISTEN" => Some("127.0.0.1:2".to_owned()),
        "DAYBOOK_LEASE_S" => Some("2".to_owned()),
        _ => None,
    };
    let flags =
        Flags { listen: Some("localhost:3".to_owned()), reset_on_startup: Some(String::new()), ..Flags::default() };
    let config = load(&flags, &environment, directory.path()).expect("resolves");
    assert_eq!(config.listen.to_string(), "127.0.0.1:3");
    assert_eq!((config.lease, config.reconnect_grace), (Millis::from_secs(2), Millis(0)));
    assert_eq!(config.data, directory.path().join("here"));
    assert_eq!(config.reset_on_startup, ResetOnStartup::Delete);
}

#[test]
fn paths_are_relative_to_the_file_and_a_kind_gets_what_it_says() {
    let directory = directory(
        r#"
        [kinds.resize]
        schema = "sub/resize.schema.json"
        queue = "images"
        max_attempts = 3
        max_lost = 0
        timeout_s = 600
        concurrency = 2
        [kinds.resize.run]
        mode = "session"
        command = ["python3", "resize.py"]
        processes = 2
        grace_s = 0
        env = { LANG = "C.UTF-8" }
        [queues.images]
        concurrency = 4
        "#,
    );
    std::fs::create_dir(directory.path().join("sub")).expect("makes");
    let schema = r#"{"properties": {"width": {"default": 640}}}"#;
    std::fs::write(directory.path().join("sub/resize.schema.json"), schema).expect("writes");
    let flags = Flags { config: Some(directory.path().join(FILE_DEFAULT)), ..Flags::default() };
    let config = load(&flags, &NOBODY, Path::new("/")).expect("resolves");
    let kind = config.catalog.get(&"resize".parse().expect("a name")).expect("is listed");
    assert_eq!((kind.settings.queue.as_str(), kind.settings.concurrency), ("images", Some(2)));
    assert_eq!((kind.settings.policy.max_attempts, kind.settings.policy.max_lost), (3, 0));
    assert_eq!(kind.settings.policy.grace, Millis(0));
    assert_eq!(kind.schema.as_ref().expect("has one").defaults()["width"], 640);
    let run = kind.run.as_ref().expect("runs here");
    assert_eq!((run.processes, run.env["LANG"].as_str(), run.directory.as_path()), (2, "C.UTF-8", directory.path()));
    assert_eq!(config.limits.kinds.values().chain(config.limits.queues.values()).sum::<u32>(), 6);
}

#[test]
fn an_unknown_key_names_the_nearest_known_one_with_its_line() {
    let toml = "lissten = \"127.0.0.1:1\"\n\n[kinds.a]\nmax_atempts = 2\n[kinds.a.run]\ncomand = [\"a\"]\n[kind.b]\n";
    let expected = [
        "1: lissten is no known key; did you mean \"listen\"?",
        "4: kinds.a.max_atempts is no known key; did you mean \"max_attempts\"?",
        "6: kinds.a.run.comand is no known key; did you mean \"command\"?",
        "7: kind is no known key; did you mean \"kinds\"?",
    ];
    let found = problems(toml);
    expected.iter().for_each(|line| assert!(found.contains(&line.to_string()), "{line} in {found:#?}"));
}

#[test]
fn every_value_is_checked_and_every_problem_is_named() {
    let toml = r#"
listen = "nowhere"
lease_s = 0
min_free_bytes = -1
reset_on_startup = "maybe"
strict_kinds = "yes"
[kinds."a b"]
[kinds.c]
schema = "missing.json"
max_attempts = 0
queue = "a/b"
concurrency = 0
backoff_s = 10
backoff_max_s = 1
run = { mode = "thread", command = [], env = { "A=B" = "c" } }
[queues.q]
rate = "fast"
[[schedules]]
name = "nightly"
cron = "0 3 * *"
time_zone = "Atlantis"
job = { kind = "c", args = 5 }
missed = "never"
[auth]
allowed_origins = ["example.org"]
"#;
    let found = problems(toml);
    for key in [
        "2: listen",
        "3: lease_s",
        "4: min_free_bytes",
        "5: reset_on_startup",
        "6: strict_kinds",
        "7: kinds.a b",
        "9: kinds.c.schema",
        "10: kinds.c.max_attempts",
        "11: kinds.c.queue",
        "12: kinds.c.concurrency",
        "14: kinds.c.backoff_max_s",
        "15: kinds.c.run.mode",
        "15: kinds.c.run.command",
        "15: kinds.c.run.env",
        "17: queues.q.rate",
        "20: schedules.0.cron",
        "21: schedules.0.time_zone",
        "22: schedules.0.job",
        "23: schedules.0.missed",
        "25: auth.allowed_origins",
    ] {
        assert!(found.iter().any(|problem| problem.starts_with(key)), "{key} in {found:#?}");
    }
}

#[test]
fn what_no_program_can_be_given_is_named_by_its_key() {
    let run = |lines: &str| problems(&format!("[kinds.k.run]\n{lines}\n"));
    let number = run("command = [\"a\"]\nenv = { A = 1, B = \"b\" }");
    assert_eq!(number, ["3: kinds.k.run.env.A must be a string; put it in quotes"]);
    let nul = "has a NUL character, which no program can be given; leave it out";
    assert_eq!(run("command = [\"a\"]\nenv = { A = \"\\u0000\" }"), [format!("3: kinds.k.run.env.A {nul}")]);
    assert_eq!(run("command = [\"a\", \"b\\u0000c\"]"), [format!("2: kinds.k.run.command.1 {nul}")]);
    assert_eq!(run("command = [\"a\", 7]"), ["2: kinds.k.run.command.1 must be a string; put it in quotes"]);
    assert!(run("command = []")[0].starts_with("2: kinds.k.run.command must name a program"));
    assert!(run("mode = \"session\"")[0].contains("kinds.k.run.command must name a program"));
    assert!(run("command = [\"a\"]\nenv = { \"A=B\" = \"c\" }")[0].starts_with("3: kinds.k.run.env \"A=B\" cannot be"));
}

#[test]
fn a_timeout_of_nothing_is_refused_and_says_what_to_do() {
    let expected = "2: kinds.k.timeout_s must be 0.1 to 3155760000 seconds, or be left out, and is 0";
    assert_eq!(problems("[kinds.k]\ntimeout_s = 0"), [expected]);
}

#[test]
fn what_is_not_in_effect_yet_is_said() {
    let config = load_text("[auth]\ntokens_file = \"tokens.toml\"").expect("resolves");
    assert_eq!(config.not_in_effect, ["auth.tokens_file"]);
    let retention = "[retention]\nfinished_age_s = 60\nlog_age_s = 60\nlog_bytes = 7000000";
    assert!(load_text(retention).expect("resolves").not_in_effect.is_empty());
}

#[test]
fn what_a_section_of_retention_leaves_out_is_as_in_general_and_what_that_leaves_out_has_defaults() {
    let plain = load_text("").expect("resolves").retention;
    assert_eq!(plain.rules.general, Keep { age: Millis(7 * 86_400_000), count: 100_000 });
    assert_eq!((plain.every, plain.rules.least_age), (Millis(300_000), Millis(10_000)));
    let toml = "[retention]\nfinished_age_s = 60\nevery_s = 0.5\n[retention.failed]\nfinished_count = 5\n\
                [retention.kinds.resize]\nfinished_age_s = 0";
    let Retention { rules, every, .. } = load_text(toml).expect("resolves").retention;
    let of = |kind: &str, state| rules.class_of(&kind.parse().expect("a name"), state).1;
    assert_eq!(of("other", StateName::Completed), Keep { age: Millis(60_000), count: 100_000 });
    assert_eq!(of("other", StateName::Failed), Keep { age: Millis(60_000), count: 5 });
    assert_eq!(of("resize", StateName::Failed), Keep { age: Millis(0), count: 100_000 });
    assert_eq!((every, rules.least_age), (Millis(500), Millis(500)));
}

#[test]
fn how_far_behind_a_page_may_be_is_set_or_left_to_the_server() {
    let config = load_text("[live]\njobs_behind_max = 7\n").expect("resolves");
    assert_eq!(config.live, LiveLimits { jobs_behind_max: Some(7), events_behind_max: None });
    let problems = problems("[live]\nevents_behind_max = -1\njob_behind_max = 7");
    assert!(problems[0].starts_with("2: live.events_behind_max must be from 0"), "{problems:?}");
    assert!(problems[1].contains("jobs_behind_max"), "{problems:?}");
}

#[test]
fn a_schedule_keeps_its_job_as_it_is_written_and_has_defaults() {
    let toml = "[[schedules]]\nname = \"n\"\ncron = \"0  3 * * *\"\njob = { kind = \"k\", args = { steps = 3 } }";
    let schedule = load_text(toml).expect("resolves").schedules.remove(0);
    assert_eq!((&*schedule.spec.cron, &*schedule.spec.time_zone), ("0 3 * * *", "UTC"));
    assert_eq!((schedule.spec.missed, schedule.spec.overlap), (Missed::Once, Overlap::Queue));
    assert_eq!(schedule.spec.origin, Origin::Config);
    assert_eq!(schedule.spec.job.to_value(), serde_json::json!({"kind": "k", "args": {"steps": 3}}));
}

#[test]
fn two_schedules_of_one_name_are_refused() {
    let one = "[[schedules]]\nname = \"n\"\ncron = \"@daily\"\njob = { kind = \"k\", args = {} }\n";
    let found = problems(&format!("{one}{one}"));
    assert_eq!(found, ["1: schedules two of them have the name \"n\""]);
}

#[test]
fn an_address_that_others_can_reach_needs_insecure() {
    let error = load_text("listen = \"0.0.0.0:7878\"").expect_err("is exposed");
    assert!(error.to_string().contains("--insecure"), "{error}");
    let directory = directory("listen = \"0.0.0.0:7878\"");
    let flags = Flags { insecure: true, ..Flags::default() };
    assert!(load(&flags, &NOBODY, directory.path()).is_ok());
}

#[test]
fn a_file_that_is_named_and_missing_or_no_toml_is_an_error() {
    let flags = Flags { config: Some("absent.toml".into()), ..Flags::default() };
    let error = load(&flags, &NOBODY, Path::new("/nonexistent")).expect_err("is missing").to_string();
    assert!(error.contains("/nonexistent/absent.toml"), "{error}");
    assert!(problems("listen = [\n").remove(0).contains("is not TOML"));
}

#[test]
fn the_file_at_the_root_of_the_repository_resolves() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = load(&Flags::default(), &NOBODY, root).expect("resolves");
    let names: Vec<&str> = config.catalog.kinds().map(|kind| kind.name.as_str()).collect();
    assert_eq!(names, ["comics", "crawl", "i2v", "page", "qwen", "svi"]);
    let i2v = config.catalog.get(&"i2v".parse().expect("a name")).expect("is listed");
    let defaults = i2v.schema.as_ref().expect("has one").defaults();
    assert_eq!((defaults["steps"].as_u64(), defaults["cfg"].as_f64()), (Some(8), Some(1.0)));
}

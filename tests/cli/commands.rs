//! Each client command against a real server, whose kinds are small shell programs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use crate::server::{Said, Server};

/// `gate` runs until a file named `open` is there; the waiting is the program's, not the test's.
const CONFIG: &str = r#"
[kinds.greet]
schema = "greet.json"
[kinds.greet.run]
mode = "command"
command = ["sh", "-c", "echo good day; echo '{\"greeting\": \"good day\", \"again\": [1, 2]}'"]

[kinds.break]
max_attempts = 1
[kinds.break.run]
mode = "command"
command = ["sh", "-c", "echo it breaks >&2; exit 3"]

[kinds.gate]
[kinds.gate.run]
mode = "command"
command = ["sh", "-c", "echo at the gate; until [ -e open ]; do sleep 0.05; done; echo '{\"through\": true}'"]
grace_s = 1
"#;

const SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"name": {"type": "string", "default": "you"}, "times": {"type": "integer", "maximum": 3}},
    "additionalProperties": false
}"#;

struct House {
    directory: TempDir,
    server: Server,
}

impl House {
    fn open() -> House {
        let directory = tempfile::tempdir().expect("a place for a house");
        std::fs::write(directory.path().join("daybook.toml"), CONFIG).expect("written");
        std::fs::write(directory.path().join("greet.json"), SCHEMA).expect("written");
        let server = House::server(directory.path(), "127.0.0.1:0");
        House { directory, server }
    }

    fn server(directory: &Path, listen: &str) -> Server {
        Server::start(directory, &directory.join("data"), listen)
    }

    fn run(&self, line: &str) -> Said {
        self.server.run(line)
    }

    fn crash_and_start_again(&mut self) {
        self.server.kill();
        let address = self.server.address().to_owned();
        self.server = House::server(self.directory.path(), &address);
    }

    fn open_the_gate(&self) {
        std::fs::write(self.directory.path().join("open"), "").expect("written");
    }
}

#[test]
fn a_waiting_submit_prints_the_result_and_ends_with_0() {
    let house = House::open();
    let said = house.run("submit greet --wait");
    assert!(said.err.contains("completed after"), "{said:?}");
    assert_eq!(said.data(), "{\n  \"greeting\": \"good day\",\n  \"again\": [\n    1,\n    2\n  ]\n}");
    house.server.end();
}

#[test]
fn a_waiting_submit_of_a_job_that_fails_ends_with_1_and_the_cause() {
    let house = House::open();
    let said = house.run("submit break --wait");
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.err.contains("failed (attempts_exhausted): exit_status"), "{said:?}");
}

#[test]
fn args_that_do_not_fit_are_refused_with_their_places() {
    let house = House::open();
    let said = house.run("submit greet --args times=7 nmae=ann");
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.err.starts_with("error: ") && said.err.contains("/args/times"), "{said:?}");
    assert!(said.err.contains("nmae"), "{said:?}");
}

#[test]
fn the_same_idempotency_key_gives_the_same_job() {
    let mut house = House::open();
    let first = house.run("submit greet --idempotency-key monday").data();
    let again = house.run("submit greet --idempotency-key monday");
    assert!(again.err.contains("submitted before"), "{again:?}");
    assert_eq!(again.data(), first);
    house.crash_and_start_again();
    assert_eq!(house.run("submit greet --idempotency-key monday").data(), first, "also after a crash");
    assert_eq!(house.run("submit greet --args name=ann --idempotency-key monday").code, Some(1));
}

#[test]
fn a_wait_outlives_a_crash_of_the_server() {
    let mut house = House::open();
    let mut waiting = house.server.command("submit gate --wait");
    let mut waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut words = BufReader::new(waiting.stderr.take().expect("stderr is a pipe")).lines();
    let mut hears = |wanted: &str| {
        let heard = words.by_ref().map_while(Result::ok).find(|line| line.contains(wanted));
        assert!(heard.is_some(), "it says {wanted:?}");
    };
    hears("running");
    house.server.kill();
    hears("the server is away");
    house.server = House::server(house.directory.path(), house.server.address());
    hears("the server was started again");
    house.open_the_gate();
    hears("completed after");
    let said = Said::of(waiting.wait_with_output().expect("it ends"));
    assert_eq!(said.data(), "{\n  \"through\": true\n}");
    let job = house.run("jobs ls --kind gate --json").data();
    assert!(job.contains(r#""lost_count":0"#), "the server's own crash is no loss: {job}");
}

#[test]
fn a_log_is_followed_to_the_end_of_its_job() {
    let house = House::open();
    let id = house.run("submit gate").data();
    let mut follow = house.server.command(&format!("logs -f {id}"));
    let mut follow = follow.stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(follow.stdout.take().expect("stdout is a pipe")).lines();
    assert_eq!(lines.next().and_then(Result::ok).as_deref(), Some("at the gate"));
    house.open_the_gate();
    assert_eq!(lines.map_while(Result::ok).count(), 0, "the result is no log line");
    assert!(follow.wait().expect("it ends").success());
    assert_eq!(house.run(&format!("logs {id}")).data(), "at the gate");
}

#[test]
fn a_running_job_is_cancelled_and_run_again_and_one_that_has_ended_is_purged() {
    let house = House::open();
    let id = house.run("submit gate").data();
    let cancelled = house.run(&format!("jobs cancel {id}")).data();
    assert!(cancelled.starts_with(&id), "{cancelled}");
    let said = house.run(&format!("jobs watch {id}"));
    assert!(said.code == Some(1) && said.err.contains("cancelled (cancelled_by_request)"), "{said:?}");
    assert_eq!(house.run(&format!("jobs cancel {id}")).code, Some(1), "it has ended");
    let active = house.run("submit gate").data();
    assert_eq!(house.run(&format!("jobs purge {active}")).code, Some(1), "it has not ended");
    house.run(&format!("jobs cancel {active}")).data();
    house.run(&format!("jobs watch {active}"));
    assert_eq!(house.run(&format!("jobs purge {active}")).data(), format!("{active} cancelled, purged"));
    house.open_the_gate();
    let retried = house.run(&format!("jobs retry {id}")).data();
    assert!(["queued", "running"].iter().any(|state| retried == format!("{id} {state}")), "{retried}");
    assert_eq!(house.run(&format!("jobs watch {id}")).code, Some(0));
}

#[test]
fn a_paused_queue_says_why_and_goes_on_when_it_is_resumed() {
    let house = House::open();
    assert_eq!(house.run("queues pause letters").data(), "queue letters is paused");
    let id = house.run("submit greet --queue letters").data();
    let why = house.run(&format!("why {id}")).data();
    assert!(why.contains("paused"), "{why}");
    let queues = house.run("queues").data();
    assert!(queues.lines().any(|line| line.starts_with("letters") && line.contains(" 1 ")), "{queues}");
    assert_eq!(house.run("queues resume letters").data(), "queue letters goes on");
    assert_eq!(house.run(&format!("jobs watch {id}")).code, Some(0));
}

#[test]
fn a_draining_queue_refuses_a_submit_with_the_next_step_until_it_is_resumed() {
    let house = House::open();
    house.run("queues pause letters").data();
    let id = house.run("submit greet --queue letters").data();
    assert_eq!(house.run("queues drain letters").data(), "queue letters takes no new jobs");
    let refused = house.run("submit greet --queue letters");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("draining") && refused.err.contains("daybook queues resume"), "{refused:?}");
    let queues = house.run("queues").data();
    let line = queues.lines().find(|line| line.starts_with("letters")).expect("it is listed");
    assert!(line.contains("paused by a client since ") && line.contains(", draining by a client since "), "{queues}");
    assert_eq!(house.run("queues resume letters").data(), "queue letters goes on");
    assert_eq!(house.run(&format!("jobs watch {id}")).code, Some(0));
    assert_eq!(house.run("submit greet --queue letters --wait").code, Some(0));
}

#[test]
fn lists_are_filtered_and_paged() {
    let house = House::open();
    house.run("queues pause default").data();
    let ids: Vec<String> = (0..5).map(|n| house.run(&format!("submit greet --tag n{n} --tag all")).data()).collect();
    let listed = |line: &str| -> Vec<String> {
        let out = house.run(line).data();
        out.lines().map(|row| row.split(r#""id":""#).nth(1).expect("a row has an id")[..36].to_owned()).collect()
    };
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(listed("jobs ls --tag all --json"), newest_first);
    assert_eq!(listed("jobs ls --tag n3 --state queued --json"), [ids[3].clone()]);
    let said = house.run("jobs ls --tag all -n 2 --json");
    let cursor = said.err.trim().rsplit(' ').next().expect("it names the cursor").to_owned();
    assert_eq!(listed(&format!("jobs ls --tag all -n 3 --json --cursor {cursor}")), newest_first[2..]);
    assert_eq!(house.run("jobs ls --tag nobody").err, "no jobs\n");
}

#[test]
fn status_and_workers_show_the_server() {
    let house = House::open();
    let status = house.run("status").data();
    assert!(status.contains("status   ok") && status.contains("epoch "), "{status}");
    assert_eq!(house.run("workers").code, Some(0));
    let address = house.server.address().to_owned();
    house.server.end();
    let gone = Said::of(
        std::process::Command::new(crate::server::BINARY)
            .args(["status", "--server", &address])
            .output()
            .expect("it runs"),
    );
    assert!(gone.code == Some(1) && gone.err.contains("hint: start one with `daybook serve`"), "{gone:?}");
}

#[test]
fn schedules_are_set_listed_and_dropped() {
    let house = House::open();
    assert!(house.run("schedules").err.contains("no schedules"));
    let set = |cron: &str| {
        let mut command = house.server.command("schedules set nightly");
        command.arg(cron).args(["greet", "--args", "name=ann", "--time-zone", "Europe/Berlin", "--overlap", "skip"]);
        Said::of(command.output().expect("the binary runs"))
    };
    assert!(set("30 2 * * *").data().starts_with("schedule nightly is set; next: 20"));
    let wrong = set("30 25 * * *");
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("/cron: cannot be read"), "{wrong:?}");
    let listed = house.run("schedules ls").data();
    assert!(listed.lines().nth(1).is_some_and(|line| line.starts_with("nightly  30 2 * * *  Europe/Berlin  greet")));
    let line = house.run("schedules --json").data();
    assert!(line.contains(r#""job":{"args":{"name":"ann"},"kind":"greet"}"#) && line.contains(r#""overlap":"skip""#));
    assert_eq!(house.run("schedules rm nightly").data(), "schedule nightly is dropped");
    let gone = house.run("schedules rm nightly");
    assert_eq!(gone.code, Some(1));
    assert!(gone.err.contains("there is no schedule nightly"), "{gone:?}");
    house.server.end();
}

#[test]
fn who_waits_for_a_job_that_nobody_takes_is_told_why() {
    let house = House::open();
    let mut waiting = house.server.command("submit elsewhere --wait");
    let mut waiting = waiting.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let lines = BufReader::new(waiting.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let said = lines.into_iter().find(|line| line.contains("No worker that takes the kind elsewhere"));
    waiting.kill().expect("it still waits");
    waiting.wait().expect("it ends");
    assert!(said.is_some());
    house.server.end();
}

#[test]
fn verify_looks_where_serve_keeps_its_data() {
    let house = House::open();
    house.run("submit greet --wait").data();
    let data = house.directory.path().join("data");
    let mut verify = house.server.command("verify");
    house.server.end();
    let said = Said::of(verify.env("DAYBOOK_DATA", data).output().expect("the binary runs"));
    assert!(said.data().contains("jobs      1, of which 1 have ended"));
}

//! What a long job on a real worker must bear: its connection gone for a while, and its server.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use serde_json::{Value, json};

use crate::monkey::{STANDS_STILL, start};
use crate::support::dice::Dice;
use crate::support::life::Life;
use crate::support::proxy::Proxy;
use crate::support::server::{Server, daybook, linger, quiet_address};

/// A program that says that it runs, and goes on when it is let.
const PROGRAM: &str = r#"read -r frame; echo here > held; read -r word < go; echo '{"through": true}'"#;

/// A `daybook work` that runs the program, in a directory with its pipes.
struct Worker {
    child: Child,
    directory: PathBuf,
}

impl Worker {
    fn start(directory: &Path, address: &str) -> Worker {
        for pipe in ["held", "go"] {
            nix::unistd::mkfifo(&directory.join(pipe), Mode::S_IRWXU).expect("a pipe");
        }
        let mut command = daybook();
        command.args(["work", "--kind", "far", "--server", &format!("http://{address}"), "--scratch"]);
        command.arg(directory.join("scratch")).args(["--", "/bin/sh", "-c", PROGRAM]).current_dir(directory);
        let child = command.stdout(Stdio::null()).spawn().expect("the binary starts");
        Worker { child, directory: directory.to_owned() }
    }

    /// Waits until the program runs.
    fn holds_its_job(&self) {
        assert_eq!(std::fs::read_to_string(self.directory.join("held")).expect("a pipe"), "here\n");
    }

    /// Lets the program go on.
    fn let_go(&self) {
        std::fs::write(self.directory.join("go"), "go\n").expect("a pipe");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server with the configuration that everybody has, at an address of its own.
fn server(directory: &Path) -> Server {
    configured(directory, "")
}

fn configured(directory: &Path, toml: &str) -> Server {
    std::fs::write(directory.join("daybook.toml"), toml).expect("writes");
    start(directory, &quiet_address())
}

fn completes_in_one_run(server: &Server, id: &str, before: &Value) -> Life {
    let job = loop {
        let job = server.read(&format!("/api/jobs/{id}?wait_s=1"));
        assert_eq!(job["lost_count"], 0, "a second run would wait at the gate for ever: {job}");
        if !job["finished_at"].is_null() {
            break job;
        }
    };
    assert_eq!((&job["state"], &job["result"]), (&json!("completed"), &json!({"through": true})), "{job}");
    assert_eq!((&job["attempt"], &job["lost_count"]), (&json!(1), &json!(0)), "{job}");
    assert_eq!(job["started_at"], before["started_at"], "it is the same run: {job}");
    let life = Life::of_completed(&server.read(&format!("/api/jobs/{id}/events")));
    assert_eq!((life.runs, life.late), (1, 0), "{life:?}");
    life
}

#[test]
fn a_worker_whose_connection_drops_for_five_seconds_in_the_middle_of_a_job_completes_it_in_one_attempt() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path());
    let proxy = Proxy::to(server.address(), None, Dice::new(1));
    let worker = Worker::start(directory.path(), &proxy.address);
    let id = server.submit("far", json!({}));
    worker.holds_its_job();
    let before = server.read(&format!("/api/jobs/{id}"));
    proxy.set_down(true);
    linger(Duration::from_secs(5));
    assert_eq!(server.read(&format!("/api/jobs/{id}"))["state"], "running", "its grace is longer");
    proxy.set_down(false);
    worker.let_go();
    let life = completes_in_one_run(&server, &id, &before);
    assert_eq!((life.adopted, proxy.cuts()), (0, 1), "it came back to its session");
}

#[test]
fn a_restart_of_the_server_that_takes_three_seconds_does_not_cost_a_remote_worker_its_long_job() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path());
    let address = server.address().to_owned();
    let worker = Worker::start(directory.path(), &address);
    let id = server.submit("far", json!({}));
    worker.holds_its_job();
    let before = server.read(&format!("/api/jobs/{id}"));
    server.kill();
    linger(Duration::from_secs(3));
    let server = start(directory.path(), &address);
    worker.let_go();
    let life = completes_in_one_run(&server, &id, &before);
    assert_eq!(life.adopted, 1, "it took its lease along");
}

#[test]
fn a_server_that_is_stopped_for_longer_than_a_lease_takes_no_job_from_a_worker_that_went_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = configured(directory.path(), "lease_s = 1.5\nreconnect_grace_s = 1\n");
    let worker = Worker::start(directory.path(), server.address());
    let id = server.submit("far", json!({}));
    worker.holds_its_job();
    let before = server.read(&format!("/api/jobs/{id}"));
    server.signal(Signal::SIGSTOP);
    linger(STANDS_STILL);
    server.signal(Signal::SIGCONT);
    // What it looks for first is found by now.
    server.read("/api/workers");
    worker.let_go();
    completes_in_one_run(&server, &id, &before);
}

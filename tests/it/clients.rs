//! The two clients of README, as they stand there: each below sixty lines, each a whole worker.

use std::path::Path;
use std::process::Child;

use serde_json::json;

use crate::support::TestServer;
use crate::support::clients::{CLIENTS, client, python_with_websockets, source};

/// A running client, ended with the test.
struct Client(Child);

impl Client {
    fn start(python: &str, name: &str, address: &str) -> Client {
        let mut command = client(python, name, address, "far");
        Client(command.spawn().expect("python3 is there"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serves(python: &str, name: &str, scheme: &str) {
    let server = TestServer::start();
    let _client = Client::start(python, name, &format!("{scheme}://{}", server.address()));
    let ids: Vec<String> = (0..3).map(|n| server.submit(&json!({"kind": "far", "args": {"n": n}}))).collect();
    for (n, id) in ids.iter().enumerate() {
        let job = server.finished(id);
        assert_eq!((&job["state"], &job["result"]), (&json!("completed"), &json!({"echo": {"n": n}})), "{job}");
        assert_eq!((&job["attempt"], &job["lost_count"]), (&json!(1), &json!(0)));
        assert_eq!(job["progress"]["done"], 4);
    }
}

#[test]
fn the_client_of_the_standard_library_serves_jobs() {
    serves("python3", "http_worker.py", "http");
}

#[test]
fn the_client_of_the_websockets_package_serves_jobs() {
    let Some(python) = python_with_websockets() else {
        eprintln!("COULD NOT RUN: python3 lacks the package websockets (Debian: python3-websockets)");
        return;
    };
    serves(python, "websocket_worker.py", "ws");
}

#[test]
fn both_are_short_and_stand_in_the_readme_as_they_are() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("reads");
    for name in CLIENTS {
        let text = std::fs::read_to_string(source(name)).expect("reads");
        assert!(text.lines().count() < 60, "{name} has {} lines", text.lines().count());
        assert!(readme.contains(&text), "README shows {name} as it is");
    }
}

//! The log lines of a job that has not ended, torn at their end: what is cut off is told of.

use serde_json::json;

use crate::support::server::{Start, verify};

#[test]
fn the_torn_end_of_an_active_jobs_lines_is_named_by_verify_and_told_of_when_it_is_cut_off() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let server = Start::on(&data).ready();
    let job = server.submit("later", json!({}));
    let worker = json!({ "name": "w", "kinds": ["later"], "concurrency": 1 });
    let session = server.post("/api/workers", &worker).json()["session"].clone();
    let claimed = server.post("/api/claim", &json!({ "session": session, "max": 1, "wait_s": 0 })).ok(200);
    let token = claimed["jobs"][0]["lease"]["token"].as_str().unwrap();
    let lines: Vec<_> = (1..=5).map(|n| json!({ "stream": "stdout", "text": format!("line number {n}") })).collect();
    let body = serde_json::to_vec(&json!({ "lines": lines })).unwrap();
    let headers = [("Lease-Token", token), ("Content-Type", "application/json")];
    assert!(server.ask("POST", &format!("/api/jobs/{job}/logs"), &headers, &body).status < 300);
    assert!(server.stop().success());

    let shard = std::fs::read_dir(data.join("logs")).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(shard).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let place = bytes.len() - 9;
    bytes[place] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let (code, said) = verify(&data);
    assert!(code == Some(0) && said.contains("the last lines are torn, from byte"), "{said}");

    let server = Start::on(&data).ready();
    let left = server.read(&format!("/api/jobs/{job}/logs"));
    assert_eq!(left["lines"].as_array().unwrap().len(), 4, "{left}");
    let said = server.said_so_far();
    let warned = said.lines().find(|line| line.contains("WARN") && line.contains("torn end")).expect(&said);
    let cut = bytes.len() as u64 - std::fs::metadata(&file).unwrap().len();
    assert!(warned.contains(&job) && warned.contains(&format!("bytes={cut}")), "{warned}");
    assert!(server.stop().success());
    assert!(!verify(&data).1.contains("are torn"));
}

//! Children in session mode that stop making sense.

use serde_json::json;

use crate::support::TestServer;

const MUTE: &str = r#"
import json, os, signal, sys

def say(**frame):
    print(json.dumps(frame), flush=True)

say(type="hello")
sys.stdin.readline()
say(type="ready", slots=1)
sys.stdin.readline()
os.close(1)
signal.pause()
"#;

const CONFIG: &str = r#"
[kinds.mute]
max_lost = 0
[kinds.mute.run]
mode = "session"
command = ["python3", "mute.py"]
"#;

#[test]
fn a_child_that_closes_its_standard_output_while_it_holds_a_job_has_lost_it() {
    let own = tempfile::tempdir().expect("a directory");
    std::fs::write(own.path().join("mute.py"), MUTE).expect("writes");
    std::fs::write(own.path().join("daybook.toml"), CONFIG).expect("writes");
    let server = TestServer::owning(own);
    let id = server.submit(&json!({"kind": "mute", "args": {}}));
    let job = server.finished(&id);
    assert_eq!((job["state"].as_str(), job["reason"].as_str()), (Some("failed"), Some("lost")), "{job}");
}

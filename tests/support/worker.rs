//! A worker in Python that does what its args say, and holds its job until the test lets it go: by a pipe, not by time.

use std::io::Write;
use std::path::Path;

use super::TestServer;

const SCRIPT: &str = r#"
import json, os, sys

frame = json.loads(sys.stdin.readline())
args = frame["job"]["args"]

def note(direction, frame):
    if "record" in args:
        with open(args["record"], "a") as file:
            file.write(json.dumps({"direction": direction, "frame": frame}) + "\n")

def say(**frame):
    note("command-to-server", frame)
    print(json.dumps(frame), flush=True)

note("server-to-worker", frame)

if frame["job"]["lost_count"] < args.get("die", 0):
    os.kill(os.getpid(), 9)
if frame["attempt"] <= args.get("fail", 0):
    sys.exit(3)

if "log" in args:
    print(args["log"], flush=True)
if "preview" in args:
    say(type="progress", percent=50, stage="draw", message="half", done=1, total=2, preview=args["preview"])
if "checkpoint" in args:
    say(type="checkpoint", data=args["checkpoint"])
if "submit" in args:
    say(type="submit", ref="child", job=args["submit"])
if "add" in args:
    say(type="add_items", items=[{"key": args["add"]}])
for item in frame["items"]:
    say(type="item", key=item["key"], state="completed", result={"seen": item["key"]})
if "hold" in args:
    with open(args["hold"] + ".token.part", "w") as file:
        file.write(os.environ["DAYBOOK_LEASE_TOKEN"])
    os.rename(args["hold"] + ".token.part", args["hold"] + ".token")
    # The other end is opened by the test, to say that it has read the token.
    open(args["hold"] + ".held", "w").close()
    open(args["hold"] + ".go").read()
if "output" in args:
    with open(os.path.join(os.environ["DAYBOOK_OUTPUT_DIR"], args["output"]), "w") as file:
        file.write("made by a job")
if "exit" in args:
    sys.exit(args["exit"])
# The last line, if it is JSON, is the result.
print(json.dumps(args.get("result")), flush=True)
"#;

/// A `daybook.toml` with the kind `act`, which runs the script, and the kind `typed`, which has a schema.
pub fn config() -> String {
    r#"
[kinds.act]
max_attempts = 1
[kinds.act.run]
command = ["python3", "act.py"]
processes = 2
grace_s = 1

[kinds.typed]
schema = "typed.schema.json"
queue = "typed"
"#
    .to_owned()
}

/// A server with the two kinds.
pub fn server() -> TestServer {
    let own = tempfile::tempdir().expect("a directory");
    prepare(own.path());
    TestServer::owning(own)
}

/// Writes configuration, script and schema into a directory.
pub fn prepare(directory: &Path) {
    let schema = r#"{"type": "object", "properties": {"steps": {"type": "integer", "maximum": 100, "default": 8}},
        "required": ["prompt"]}"#;
    for (name, text) in [("daybook.toml", config().as_str()), ("act.py", SCRIPT), ("typed.schema.json", schema)] {
        std::fs::write(directory.join(name), text).expect("writes");
    }
}

/// A job that is held until it is let go.
pub struct Hold<'a> {
    server: &'a TestServer,
    name: &'static str,
}

impl<'a> Hold<'a> {
    /// Makes the pipes; `name` goes into the args as `hold`.
    pub fn new(server: &'a TestServer, name: &'static str) -> Hold<'a> {
        for end in ["held", "go"] {
            let pipe = server.directory().join(format!("{name}.{end}"));
            nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        }
        Hold { server, name }
    }

    /// Waits until the job is held, and gives the token of its lease.
    pub fn token(&self) -> String {
        let path = |end: &str| self.server.directory().join(format!("{}.{end}", self.name));
        // Opening waits for the other end.
        drop(std::fs::File::open(path("held")).expect("a pipe"));
        std::fs::read_to_string(path("token")).expect("the worker wrote it")
    }

    /// Lets the job go on.
    pub fn let_go(self) {
        let path = self.server.directory().join(format!("{}.go", self.name));
        let mut pipe = std::fs::OpenOptions::new().write(true).open(path).expect("a pipe");
        pipe.write_all(b"go").expect("the worker reads");
    }
}

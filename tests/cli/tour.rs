//! The tour in README is a test: its commands are typed into a shell, one block after the other, against a fresh server,
//! which is killed and started again where the tour says so. Nothing here knows the inside of Daybook.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::server::{BINARY, Server};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// One block draws a dozen pictures at most; the rest is a slow machine.
const BLOCK_MAX: Duration = Duration::from_secs(180);

#[test]
fn the_tour_in_readme_does_what_it_says() {
    let data = tempfile::tempdir().expect("a place for data");
    let mut server = Server::start(Path::new(ROOT), data.path(), "127.0.0.1:0");
    let address = server.address().to_owned();
    let mut shell = Shell::open(&address);
    let mut said = Vec::new();
    for step in steps_of(&tour()) {
        match step {
            Step::Block(block) => said.push(shell.run(&block)),
            Step::Restart => {
                server.kill();
                server = Server::start(Path::new(ROOT), data.path(), &address);
            }
        }
    }
    assert!(said[0].contains("\"files\"") && said[0].contains("/files/qwen.png"), "the picture is there: {}", said[0]);
    assert!(said[1].contains("/args/steps") && said[1].contains("refused with exit code 1"), "{}", said[1]);
    assert!(said[3].contains(r#""state":"completed""#), "the job ended well after the crash: {}", said[3]);
    assert!(said[3].contains(r#""lost_count":0"#), "a crash of the server counts as no loss: {}", said[3]);
    assert!(said[4].contains("dependency_failed"), "what waited was cancelled: {}", said[4]);
    server.end();
}

enum Step {
    Block(String),
    Restart,
}

fn tour() -> String {
    let readme = std::fs::read_to_string(Path::new(ROOT).join("README.md")).expect("README is there");
    let tour = readme.split_once("\n## A tour of 60 seconds\n").expect("README has a tour").1;
    tour.split_once("\n## ").expect("something follows the tour").0.to_owned()
}

/// The `sh` blocks in order, and the place where the server is killed.
fn steps_of(tour: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut block: Option<String> = None;
    for line in tour.lines() {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (None, line) if line.starts_with("<!--") && line.contains("SIGKILL") => steps.push(Step::Restart),
            (None, _) => {}
            (Some(_), "```") => steps.extend(block.take().map(Step::Block)),
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    assert_eq!(steps.iter().filter(|step| matches!(step, Step::Restart)).count(), 1, "the tour pulls the plug once");
    assert_eq!(steps.len(), 6, "the tour has five blocks");
    steps
}

/// A shell that is typed into.
struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    fn open(address: &str) -> Shell {
        let directory = Path::new(BINARY).parent().expect("a binary lies in a directory");
        let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
        let mut child = Command::new("bash")
            .args(["-eu", "-o", "pipefail"])
            .current_dir(ROOT)
            .env("PATH", path)
            .env("DAYBOOK_SERVER", format!("http://{address}"))
            .env_remove("DAYBOOK_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a bash");
        let out = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut input = child.stdin.take().expect("stdin is a pipe");
        writeln!(input, "exec 2>&1").expect("the shell listens");
        let (sender, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Shell { child, input, lines }
    }

    /// Types a block and gives what it said. A command that fails ends the shell, and so the test.
    fn run(&mut self, block: &str) -> String {
        const END: &str = "-- the block has ended --";
        // The commands must not read the block's next lines as their input.
        write!(self.input, "{{\n{block}}} </dev/null\necho '{END}'\n").expect("the shell listens");
        let mut said = String::new();
        loop {
            match self.lines.recv_timeout(BLOCK_MAX) {
                Ok(line) if line == END => return said,
                Ok(line) => {
                    said.push_str(&line);
                    said.push('\n');
                }
                Err(_) => panic!("the block did not end well:\n{block}\nit said:\n{said}"),
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

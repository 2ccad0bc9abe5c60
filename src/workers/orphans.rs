//! Finds and ends what a killed server left running, before the jobs of those processes are queued again.
//!
//! Every live group has a record in the data directory. A record names a group so that no stranger can be taken for it:
//! by the start time of its leader, or, when the leader is gone, by the mark in the environment of its members, both
//! within the same run of the machine. A record that proves nothing is dropped and nothing is killed for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::domain::id::{Epoch, KindName};
use crate::workers::proc_table;

/// The variable that marks every process that Daybook started, with the epoch as its value.
pub const EPOCH_VARIABLE: &str = "DAYBOOK_EPOCH";
/// How long killed groups may take to vanish before a start goes on without waiting for them.
const VANISH_MAX: Duration = Duration::from_secs(5);
const VANISH_LOOK: Duration = Duration::from_millis(5);

/// What is written down of a live group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct GroupRecord {
    group: u32,
    /// The start time of its leader; none where the system does not tell it.
    started: Option<u64>,
    boot: Option<String>,
    epoch: Epoch,
    kind: KindName,
}

/// The records of the groups that this server runs.
#[derive(Debug, Clone)]
pub struct LiveGroups {
    dir: PathBuf,
    epoch: Epoch,
    boot: Option<String>,
}

/// The record of one group; dropped when the group is dead, it removes the record.
#[derive(Debug)]
pub struct RecordedGroup {
    path: PathBuf,
}

/// What [`end_orphans`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Groups that were found alive and ended.
    pub ended: usize,
    /// Groups that did not vanish although they were killed: they hang in the kernel. Their records are kept.
    pub hanging: Vec<u32>,
}

impl LiveGroups {
    /// Prepares the directory of the records.
    pub fn open(dir: &Path, epoch: Epoch) -> io::Result<LiveGroups> {
        fs::create_dir_all(dir)?;
        Ok(LiveGroups { dir: dir.to_owned(), epoch, boot: proc_table::boot() })
    }

    /// Writes down that a group lives. A killed server leaves the record whole or not at all.
    pub fn record(&self, group: u32, kind: &KindName) -> io::Result<RecordedGroup> {
        let started = proc_table::entry(group).map(|entry| entry.started);
        let record = GroupRecord { group, started, boot: self.boot.clone(), epoch: self.epoch, kind: kind.clone() };
        let path = self.dir.join(format!("{group}.json"));
        let draft = self.dir.join(format!("{group}.draft"));
        fs::write(&draft, serde_json::to_vec(&record)?)?;
        fs::rename(&draft, &path)?;
        Ok(RecordedGroup { path })
    }

    /// The same, off the runtime's threads. Without a record only the parent-death signal ends the child, so a failure
    /// is told and nothing more.
    pub async fn record_or_warn(&self, group: u32, kind: &KindName) -> Option<RecordedGroup> {
        let (groups, kind_too) = (self.clone(), kind.clone());
        let recorded = tokio::task::spawn_blocking(move || groups.record(group, &kind_too)).await;
        match recorded.expect("writing a record does not panic") {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::warn!(%kind, %error, "a child was not written down");
                None
            }
        }
    }

    /// The same records for children whose environment names another epoch.
    #[must_use]
    pub fn with_epoch(&self, epoch: Epoch) -> LiveGroups {
        LiveGroups { epoch, ..self.clone() }
    }
}

impl Drop for RecordedGroup {
    fn drop(&mut self) {
        // A record that stays behind proves nothing once its group is dead.
        let _ = fs::remove_file(&self.path);
    }
}

/// Ends every group that a former server left behind, and waits until none of their processes runs any more.
/// Call it before the engine recovers, and never while a server uses the same data directory.
pub fn end_orphans(dir: &Path) -> io::Result<Swept> {
    let listing = match fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Swept::default()),
        Err(error) => return Err(error),
    };
    let mut killed = Vec::new();
    for path in listing.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()? {
        match proven_alive(&path) {
            Some(group) => {
                let _ = killpg(Pid::from_raw(group as i32), Signal::SIGKILL);
                killed.push((group, path));
            }
            None => fs::remove_file(&path)?,
        }
    }
    let ended = killed.len();
    let hanging = wait_until_vanished(killed)?;
    Ok(Swept { ended: ended - hanging.len(), hanging })
}

/// The group of a record, if it certainly is the recorded one and still lives.
fn proven_alive(path: &Path) -> Option<u32> {
    let record: GroupRecord = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    if record.boot.is_none() || record.boot != proc_table::boot() || record.group <= 1 {
        return None;
    }
    let epoch = record.epoch.to_string();
    let members = proc_table::group_members(record.group);
    let proof = members.iter().find(|member| {
        let leads = member.id == record.group && Some(member.started) == record.started;
        leads || proc_table::has_variable(member.id, EPOCH_VARIABLE, &epoch)
    });
    proof.filter(|_| members.iter().any(|member| member.runs)).map(|_| record.group)
}

fn wait_until_vanished(killed: Vec<(u32, PathBuf)>) -> io::Result<Vec<u32>> {
    let until = Instant::now() + VANISH_MAX;
    let mut hanging = Vec::new();
    for (group, path) in killed {
        while proc_table::group_is_alive(group) && Instant::now() < until {
            thread::sleep(VANISH_LOOK);
        }
        if proc_table::group_is_alive(group) { hanging.push(group) } else { fs::remove_file(&path)? }
    }
    Ok(hanging)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use tokio::io::AsyncBufReadExt;

    use crate::workers::process::{Launcher, Program};
    use crate::workers::unix::UnixLauncher;

    use super::*;

    const EPOCH: Epoch = Epoch(uuid::Uuid::from_u128(7));

    fn kind() -> KindName {
        "resize".parse().expect("a name")
    }

    fn sleeper(mark: Option<Epoch>) -> Child {
        let mut command = Command::new("sleep");
        command.arg("1000").process_group(0);
        if let Some(epoch) = mark {
            command.env(EPOCH_VARIABLE, epoch.to_string());
        }
        command.spawn().expect("sleep starts")
    }

    fn write(dir: &Path, record: &GroupRecord) {
        fs::write(dir.join(format!("{}.json", record.group)), serde_json::to_vec(record).expect("writes")).expect("ok");
    }

    fn record_of(child: &Child) -> GroupRecord {
        let started = proc_table::entry(child.id()).map(|entry| entry.started);
        GroupRecord { group: child.id(), started, boot: proc_table::boot(), epoch: EPOCH, kind: kind() }
    }

    fn is_alive(child: &mut Child) -> bool {
        child.try_wait().expect("it is our child").is_none()
    }

    #[test]
    fn a_recorded_group_is_ended_and_its_record_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut child = sleeper(None);
        let groups = LiveGroups::open(dir.path(), EPOCH).expect("opens");
        std::mem::forget(groups.record(child.id(), &kind()).expect("records"));
        assert_eq!(end_orphans(dir.path()).expect("sweeps"), Swept { ended: 1, hanging: vec![] });
        assert!(!is_alive(&mut child));
        assert_eq!(end_orphans(dir.path()).expect("sweeps"), Swept::default());
    }

    #[test]
    fn a_stranger_that_got_a_recorded_number_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut strangers = [sleeper(None), sleeper(Some(Epoch(uuid::Uuid::from_u128(8)))), sleeper(Some(EPOCH))];
        let later = |record: GroupRecord| GroupRecord { started: record.started.map(|tick| tick + 1), ..record };
        write(dir.path(), &later(record_of(&strangers[0])));
        write(dir.path(), &later(record_of(&strangers[1])));
        write(dir.path(), &GroupRecord { boot: Some("another run".into()), ..record_of(&strangers[2]) });
        fs::write(dir.path().join("9.json"), "{\"group\":9").expect("writes");
        assert_eq!(end_orphans(dir.path()).expect("sweeps"), Swept::default());
        assert!(strangers.iter_mut().all(is_alive));
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 0, "records that prove nothing are dropped");
        for mut stranger in strangers {
            stranger.kill().expect("kills");
            stranger.wait().expect("reaps");
        }
    }

    #[test]
    fn a_record_goes_when_its_group_is_dead() {
        let dir = tempfile::tempdir().expect("a directory");
        let groups = LiveGroups::open(dir.path(), EPOCH).expect("opens");
        drop(groups.record(std::process::id(), &kind()).expect("records"));
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 0);
    }

    /// Not a test: the server that the next test kills. It starts a child that forks, and waits.
    #[tokio::test]
    #[ignore = "the killed half of `after_a_kill_of_the_server_…`"]
    async fn a_server_that_will_be_killed() {
        let Ok(dir) = std::env::var("ORPHANS_DIR") else { return };
        let argv = ["/bin/sh", "-c", "sleep 1000 & echo $$ $!; wait"].map(str::to_owned).to_vec();
        let env = vec![(EPOCH_VARIABLE.to_owned(), EPOCH.to_string())];
        let child = UnixLauncher.launch(Program { argv, dir: std::env::temp_dir(), env }).await.expect("starts");
        let groups = LiveGroups::open(Path::new(&dir), EPOCH).expect("opens");
        let _record = groups.record(child.group.id(), &kind()).expect("records");
        let mut lines = tokio::io::BufReader::new(child.stdout).lines();
        println!("\nnumbers {}", lines.next_line().await.expect("reads").expect("a line"));
        std::future::pending::<()>().await;
    }

    #[test]
    fn after_a_kill_of_the_server_its_child_dies_and_what_the_child_forked_is_found_and_ended() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut server = Command::new(std::env::current_exe().expect("this test's program"))
            .args(["--exact", "workers::orphans::tests::a_server_that_will_be_killed", "--ignored", "--nocapture"])
            .env("ORPHANS_DIR", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(server.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
        let numbers = lines.filter_map(|line| line.strip_prefix("numbers ").map(str::to_owned)).next().expect("told");
        let (leader, forked) = numbers.split_once(' ').expect("two numbers");
        let (leader, forked): (u32, u32) = (leader.parse().expect("number"), forked.parse().expect("number"));
        server.kill().expect("kills");
        server.wait().expect("reaps");

        while proc_table::entry(leader).is_some_and(|entry| entry.runs) {
            thread::yield_now();
        }
        assert!(proc_table::entry(forked).is_some_and(|entry| entry.runs), "the parent-death signal is not for it");
        assert_eq!(end_orphans(dir.path()).expect("sweeps"), Swept { ended: 1, hanging: vec![] });
        assert!(!proc_table::entry(forked).is_some_and(|entry| entry.runs));
    }
}

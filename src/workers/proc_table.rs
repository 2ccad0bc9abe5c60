//! What the kernel tells of processes: which are in a group, when they started, with which environment. On systems
//! without `/proc` it knows less, and says so by knowing nothing.

use std::fs;

use nix::sys::signal::killpg;
use nix::unistd::Pid;

/// One line of the process table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: u32,
    pub group: u32,
    /// Zombies and dead ones run no code any more.
    pub runs: bool,
    /// When it started, in clock ticks since the machine did. With the number it names a process for good.
    pub started: u64,
}

/// Whether any process of a group still runs.
pub fn group_is_alive(group: u32) -> bool {
    // Without a signal this only asks, and nearly always the group is gone.
    if killpg(Pid::from_raw(group as i32), None).is_err() {
        return false;
    }
    !fs::exists("/proc/self/stat").unwrap_or(false) || group_members(group).iter().any(|entry| entry.runs)
}

/// The processes of a group, zombies included.
pub fn group_members(group: u32) -> Vec<Entry> {
    let Ok(listing) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(entry).filter(|entry| entry.group == group).collect()
}

/// The table's line of one process.
pub fn entry(id: u32) -> Option<Entry> {
    parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// Whether a process was started with `name=value` in its environment.
pub fn has_variable(id: u32, name: &str, value: &str) -> bool {
    let wanted = format!("{name}={value}");
    fs::read(format!("/proc/{id}/environ"))
        .is_ok_and(|environment| environment.split(|&byte| byte == 0).any(|pair| pair == wanted.as_bytes()))
}

/// Names this run of the machine: process numbers and start times mean nothing in another one.
pub fn boot() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|text| text.trim().to_owned())
}

/// Reads `/proc/…/stat`. The program's name stands in parentheses and may hold anything, so that the fields are
/// counted from the last parenthesis: state, parent, group, … and the start time as the 20th.
fn parse(stat: &str) -> Option<Entry> {
    let id = stat.split(' ').next()?.parse().ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let runs = !matches!(*fields.first()?, "Z" | "X" | "x");
    Some(Entry { id, group: fields.get(2)?.parse().ok()?, runs, started: fields.get(19)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_whose_name_looks_like_fields_is_read_rightly() {
        let stat = "4021 (x) S 1 2 3) Z 17 4020 4020 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 778899 0 0";
        assert_eq!(parse(stat), Some(Entry { id: 4021, group: 4020, runs: false, started: 778_899 }));
        assert_eq!(parse("gibberish"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_process_is_in_the_table() {
        let own = entry(std::process::id()).expect("we run");
        assert!(own.runs && own.started > 0);
        assert!(group_members(own.group).contains(&own));
        assert!(boot().is_some());
    }
}

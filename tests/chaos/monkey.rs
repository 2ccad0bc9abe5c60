//! Whoever breaks things: by chance, but the same for the same seed as far as its own choices go.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fleet::Fleet;
use crate::support::dice::Dice;
use crate::support::proxy::Proxy;
use crate::support::server::{Server, Start, linger};

/// How long a worker stands still: far within its lease of 2 s, or beyond it.
const STOPS_MS: [u64; 2] = [500, 3000];

/// How long a server stands still.
pub const STANDS_STILL: Duration = Duration::from_secs(3);

/// Who stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// A place in the fleet.
    Elsewhere(usize),
    /// A child of the server.
    Child(i32),
}

struct Stopped {
    victim: Victim,
    until: Instant,
    /// Whether it is killed then, instead of going on.
    dies: bool,
}

pub struct Monkey<'a> {
    directory: &'a Path,
    server: Option<Server>,
    pub fleet: Fleet<'a>,
    proxies: [&'a Proxy; 2],
    dice: Dice,
    stopped: Vec<Stopped>,
    /// What was done, and how often.
    pub deeds: BTreeMap<&'static str, usize>,
}

impl<'a> Monkey<'a> {
    pub fn new(
        directory: &'a Path,
        server: Server,
        fleet: Fleet<'a>,
        proxies: [&'a Proxy; 2],
        dice: Dice,
    ) -> Monkey<'a> {
        Monkey { directory, server: Some(server), fleet, proxies, dice, stopped: Vec::new(), deeds: BTreeMap::new() }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it is started again at once")
    }

    /// Breaks something.
    pub fn act(&mut self) {
        let place = self.dice.below(self.fleet.len() as u64) as usize;
        let deed = match self.dice.below(10) {
            0 | 1 => {
                self.fleet.replace(place);
                "worker killed"
            }
            2..=4 => {
                self.fleet.signal(place, Signal::SIGSTOP);
                self.stands(Victim::Elsewhere(place))
            }
            5 | 6 => match self.child() {
                Some(child) => {
                    self.signal_child(child, Signal::SIGKILL);
                    "child killed"
                }
                None => return,
            },
            7 | 8 => match self.child() {
                Some(child) => {
                    self.signal_child(child, Signal::SIGSTOP);
                    self.stands(Victim::Child(child))
                }
                None => return,
            },
            _ => {
                self.proxies.iter().for_each(|proxy| proxy.cut_all());
                "all cut"
            }
        };
        *self.deeds.entry(deed).or_default() += 1;
    }

    fn stands(&mut self, victim: Victim) -> &'static str {
        self.stopped.retain(|stopped| stopped.victim != victim);
        let span = STOPS_MS[self.dice.below(2) as usize];
        let until = Instant::now() + Duration::from_millis(span);
        self.stopped.push(Stopped { victim, until, dies: self.dice.one_in(3) });
        match (victim, span) {
            (Victim::Elsewhere(_), 500) => "worker stopped for a moment",
            (Victim::Elsewhere(_), _) => "worker stopped for longer than its lease",
            (Victim::Child(_), _) => "child stopped",
        }
    }

    /// Lets go on, or ends, whoever has stood still for long enough; brings back what has ended by itself.
    pub fn look_after(&mut self, now: Instant) {
        let (over, stopped) = std::mem::take(&mut self.stopped).into_iter().partition(|stopped| stopped.until <= now);
        self.stopped = stopped;
        for Stopped { victim, dies, .. } in over {
            match (victim, dies) {
                (Victim::Elsewhere(place), true) => self.fleet.replace(place),
                (Victim::Elsewhere(place), false) => self.fleet.signal(place, Signal::SIGCONT),
                (Victim::Child(child), true) => self.signal_child(child, Signal::SIGKILL),
                (Victim::Child(child), false) => self.signal_child(child, Signal::SIGCONT),
            }
        }
        self.fleet.look_after();
    }

    /// Ends the server, without a word or in order, and starts it again at the same address.
    pub fn end_server(&mut self, in_order: bool) {
        let server = self.server.take().expect("it is started again at once");
        let address = server.address().to_owned();
        if in_order {
            assert!(server.stop().success(), "SIGTERM ends in order");
        } else {
            server.kill();
        }
        self.server = Some(start(self.directory, &address));
        *self.deeds.entry(if in_order { "server stopped" } else { "server killed" }).or_default() += 1;
    }

    /// The server is stopped for longer than any lease, and goes on.
    pub fn hold_server(&mut self) {
        self.server().signal(Signal::SIGSTOP);
        linger(STANDS_STILL);
        self.server().signal(Signal::SIGCONT);
        *self.deeds.entry("server held").or_default() += 1;
    }

    /// Leaves off: nothing is broken any more, and everybody goes on.
    pub fn leave_off(&mut self) {
        self.stopped.iter_mut().for_each(|stopped| stopped.until = Instant::now());
        self.look_after(Instant::now());
        self.proxies.iter().for_each(|proxy| proxy.calm_down());
    }

    /// The end: the server alone is left.
    pub fn into_server(self) -> Server {
        self.server.expect("it is started again at once")
    }

    /// A child of the server, by chance.
    fn child(&mut self) -> Option<i32> {
        let children = children_of(self.server().process() as i32);
        (!children.is_empty()).then(|| children[self.dice.below(children.len() as u64) as usize])
    }

    /// A number may belong to somebody else by now.
    fn signal_child(&self, child: i32, signal: Signal) {
        if parent_of(child) == Some(self.server().process() as i32) {
            // It may have ended in this moment.
            let _ = kill(Pid::from_raw(child), signal);
        }
    }
}

/// Starts the server at an address, on the data that is there.
pub fn start(directory: &Path, address: &str) -> Server {
    Start::in_directory(directory, Path::new("data")).listen(address).ready()
}

fn children_of(parent: i32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("a list of processes").flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut children: Vec<i32> = numbers.filter(|&number| parent_of(number) == Some(parent)).collect();
    children.sort_unstable();
    children
}

fn parent_of(process: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

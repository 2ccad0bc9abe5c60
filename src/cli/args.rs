//! What can be typed: the subcommands and their options, as clap reads them. Only shapes and checks of single values
//! live here; what a subcommand does is in the file of its name.

mod schedules;
mod sources;
mod tools;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::words::seconds_of;
use crate::domain::id::{JobId, KindName, QueueName, SessionId};
use crate::domain::job::StateName;
use crate::domain::time::Timestamp;

pub use schedules::{SchedulesArguments, SchedulesCommand, SetArguments};
pub use sources::read;
pub use tools::{ExportArguments, ImportArguments, ReplayArguments, RestoreArguments, Speed};

/// Where a server listens unless it is told otherwise.
pub const SERVER_DEFAULT: &str = "http://127.0.0.1:7878";

/// What the exit codes of all subcommands mean.
const EXIT_CODES: &str = "\
Exit codes:
  0  all is well
  1  you can cure it: a mistake in what was typed, no server at that address, a job that did not
     complete, a configuration that is wrong, data that is damaged or in use
  2  the fault is ours: the server made a mistake, broke off, or could not do what it should";

/// When `serve` says where it listens.
const SERVE_HELP: &str = "\
The first line on stdout is `listening on http://ADDR`. It is printed when the port is taken, the data \
directory is locked and the log was looked at and found sound. From then on requests are answered: with \
503 `starting` (and Retry-After) while the log is replayed; GET /health says how far it is, and 200 when \
it is done. A server that refuses to start before that prints no such line; one that finds damage only \
while it replays ends with an error on stderr and exit code 1. All logging goes to stderr.";

/// What `work` does with its program, and how it ends.
const WORK_HELP: &str = "\
COMMAND is started for each job, without a shell, as a [kinds.X.run] section with mode = \"command\"
does: one line of standard input is the job; stdout may speak frames (progress, item, add_items,
submit, checkpoint), and its last line, if it is JSON, is the result; all else is the job's log; what
it leaves in $DAYBOOK_OUTPUT_DIR becomes the job's files. Exit 0 completes the job, another status
fails the attempt.

A connection that breaks is opened again for as long as it takes; what runs goes on meanwhile.
SIGTERM or Ctrl-C: no more jobs, and the worker goes when what runs has ended. A second one stops
what runs and gives it back. Exit 0 when it left in order, 1 when the server does not want it or
could not be told.

  daybook work --kind resize --concurrency 2 -- python3 resize.py";

/// A durable job service: submit a job, watch it run, and never lose it.
#[derive(Debug, Parser)]
#[command(name = "daybook", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: Command,
}

/// What every client command needs to know.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Connection {
    /// Where the server is [default: http://127.0.0.1:7878].
    #[arg(long, global = true, env = "DAYBOOK_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// The token that lets you in.
    #[arg(long, global = true, env = "DAYBOOK_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the server.
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArguments),
    /// Submit a job and print its id.
    Submit(Box<SubmitArguments>),
    /// List jobs, look at them, and change them.
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Print the log of a job.
    Logs(LogsArguments),
    /// Say why a job is not running yet, or why it ended as it did.
    Why {
        #[arg(value_name = "ID", value_parser = id_of)]
        id: JobId,
    },
    /// List the queues; pause, drain and resume them.
    Queues(QueuesArguments),
    /// List the schedules; set and drop them.
    Schedules(SchedulesArguments),
    /// List the workers and what each runs, let one rest or go.
    Workers(WorkersArguments),
    /// Run a program for each job of a server, on this machine or any other.
    #[command(after_help = WORK_HELP)]
    Work(Box<WorkArguments>),
    /// Say how the server is.
    Status,
    /// Check every file of a server that is not running, and whether the fold of its log equals the views.
    Verify {
        /// Where everything is kept.
        #[arg(long, value_name = "DIR", env = "DAYBOOK_DATA", default_value = "daybook-data")]
        data: PathBuf,
    },
    /// Fold the log of a server again: the state at any moment, event by event, or what changed in between.
    #[command(after_help = tools::REPLAY_HELP)]
    Replay(Box<ReplayArguments>),
    /// Write a log as CloudEvents, one a line, to a file or to stdout.
    Export(ExportArguments),
    /// Make the data of a server from an exported log, in an empty directory.
    Import(ImportArguments),
    /// Copy a running server into a directory of backups; what is there already is not copied again.
    Backup {
        /// The directory of backups of this server.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Remove all backups but the newest N then, and what none of those needs.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        keep: Option<u32>,
    },
    /// Make the data of a server from a backup, as it was at its end or at any moment before.
    Restore(RestoreArguments),
    /// Print the completions for a shell.
    Completions { shell: Shell },
}

#[derive(Debug, Default, Args)]
pub struct ServeArguments {
    /// The configuration [default: daybook.toml, where there is one].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything is kept [default: ./daybook-data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:7878].
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Begin with nothing: forget all jobs, or move the old data aside first (archive).
    #[arg(long, value_name = "archive", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = ["true", "false", "archive"], hide_possible_values = true)]
    pub reset_on_startup: Option<String>,
    /// Ask for no token, also beyond loopback.
    #[arg(long)]
    pub insecure: bool,
    /// Go on with what is left of a damaged log. A copy of the whole is kept beside it.
    #[arg(long)]
    pub accept_data_loss: bool,
}

#[derive(Debug, Args)]
pub struct SubmitArguments {
    /// Which program runs the job.
    #[arg(value_name = "KIND")]
    pub kind: KindName,
    /// The job's args: a JSON object, @file, @- for stdin, or key=value pairs. A value that is JSON is taken as such,
    /// all else is text; a.b=1 sets a key of an inner object.
    #[arg(long, num_args = 1.., value_name = "JSON|@FILE|KEY=VALUE")]
    pub args: Vec<String>,
    /// Where the job waits [default: the kind's, or default].
    #[arg(long)]
    pub queue: Option<QueueName>,
    /// -100 to 100; higher is sooner [default: 0].
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i8).range(-100..=100))]
    pub priority: Option<i8>,
    /// Start it no sooner than so long from now: 90, 1.5, 10m, 2h.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds_of, conflicts_with = "at")]
    pub delay: Option<f64>,
    /// Start it no sooner than this time: 2026-01-31T07:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time_of)]
    pub at: Option<Timestamp>,
    /// A label; may be given again.
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Refuse the job while another active one of its kind has this key.
    #[arg(long, value_name = "KEY")]
    pub unique_key: Option<String>,
    /// Wait until this job has completed; may be given again.
    #[arg(long, value_name = "ID", value_parser = id_of)]
    pub depends_on: Vec<JobId>,
    /// The job above it in a tree.
    #[arg(long, value_name = "ID", value_parser = id_of)]
    pub parent: Option<JobId>,
    /// How many attempts it has [default: the kind's, or 2].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_attempts: Option<u32>,
    /// How long an attempt may run: 90, 1.5, 10m, 2h.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds_of)]
    pub timeout: Option<f64>,
    /// Make a repetition of this very command give the same job.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Wait until the job has ended, show its progress, and print its result.
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// List jobs, newest first.
    Ls(ListArguments),
    /// Show one job with its args and its result.
    Get {
        #[arg(value_name = "ID", value_parser = id_of)]
        id: JobId,
    },
    /// Follow a job until it has ended; exit 0 if it completed, else 1.
    Watch {
        #[arg(value_name = "ID", value_parser = id_of)]
        id: JobId,
    },
    /// Stop jobs.
    Cancel {
        #[arg(value_name = "ID", required = true, value_parser = id_of)]
        ids: Vec<JobId>,
        /// Stop their children too.
        #[arg(long)]
        children: bool,
    },
    /// Run ended jobs again.
    Retry {
        #[arg(value_name = "ID", required = true, value_parser = id_of)]
        ids: Vec<JobId>,
        /// Of a batch, only the items that failed or were skipped.
        #[arg(long)]
        only_failed_items: bool,
        /// Also the jobs that were cancelled because these did not complete.
        #[arg(long)]
        dependents: bool,
    },
    /// Take what ended jobs carried out of every answer: args, results, files and log lines. It does not come back.
    Purge {
        #[arg(value_name = "ID", required = true, value_parser = id_of)]
        ids: Vec<JobId>,
    },
}

#[derive(Debug, Args)]
pub struct ListArguments {
    /// In this state; may be given again. `active` is every state that is not an end.
    #[arg(long = "state", value_name = "STATE", value_parser = state_of)]
    pub states: Vec<String>,
    /// Of this kind.
    #[arg(long)]
    pub kind: Option<KindName>,
    /// In this queue.
    #[arg(long)]
    pub queue: Option<QueueName>,
    /// With this label.
    #[arg(long)]
    pub tag: Option<String>,
    /// Children of this job.
    #[arg(long, value_name = "ID", value_parser = id_of)]
    pub parent: Option<JobId>,
    /// With this text in id, kind, tags, error or args.
    #[arg(long, short = 'q', value_name = "TEXT")]
    pub search: Option<String>,
    /// How many at most.
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Go on where an earlier list ended.
    #[arg(long)]
    pub cursor: Option<String>,
}

#[derive(Debug, Args)]
pub struct LogsArguments {
    #[arg(value_name = "ID", value_parser = id_of)]
    pub id: JobId,
    /// Go on until the job has ended.
    #[arg(long, short)]
    pub follow: bool,
    /// Only the lines after this number.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub after: u64,
}

#[derive(Debug, Args)]
pub struct WorkArguments {
    /// A kind of jobs to run; may be given again.
    #[arg(long = "kind", value_name = "KIND", required = true)]
    pub kinds: Vec<KindName>,
    /// Take jobs from this queue only; may be given again [default: every queue].
    #[arg(long = "queue", value_name = "QUEUE")]
    pub queues: Vec<QueueName>,
    /// How many jobs to run at once.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub concurrency: u32,
    /// What to call this worker in lists [default: the machine and the process].
    #[arg(long, value_parser = worker_name_of)]
    pub name: Option<String>,
    /// When the worker is stopped: how long after SIGTERM the program is killed.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds_of)]
    pub grace: f64,
    /// How long a drain may take before what runs is stopped and given back [default: as long as it takes].
    #[arg(long, value_name = "SECONDS", value_parser = seconds_of)]
    pub drain_timeout: Option<f64>,
    /// Where runs leave their output files until they are sent [default: a directory of yours in the temporary one].
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// The program and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct QueuesArguments {
    #[command(subcommand)]
    pub command: Option<QueuesCommand>,
}

#[derive(Debug, Args)]
pub struct WorkersArguments {
    #[command(subcommand)]
    pub command: Option<WorkersCommand>,
}

#[derive(Debug, Subcommand)]
pub enum WorkersCommand {
    /// List the workers.
    Ls,
    /// Let a worker finish what it holds and take no more.
    Quiet {
        #[arg(value_name = "SESSION")]
        session: SessionId,
    },
    /// Tell a worker to give back what it holds and to go.
    Terminate {
        #[arg(value_name = "SESSION")]
        session: SessionId,
    },
}

#[derive(Debug, Subcommand)]
pub enum QueuesCommand {
    /// Start no more jobs of a queue; running ones go on.
    Pause {
        #[arg(value_name = "QUEUE")]
        queue: QueueName,
    },
    /// Start jobs of a queue again, and take new ones: ends a pause and a drain.
    Resume {
        #[arg(value_name = "QUEUE")]
        queue: QueueName,
    },
    /// Take no new jobs into a queue; what is in it is worked off.
    Drain {
        #[arg(value_name = "QUEUE")]
        queue: QueueName,
    },
}

fn worker_name_of(text: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&text.len());
    fits.then(|| text.to_owned()).ok_or_else(|| "a worker's name has 1 to 128 bytes".into())
}

fn time_of(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text)
        .map_err(|_| "a time is written like 2026-01-31T07:00:00Z or 2026-01-31T08:00:00+01:00".into())
}

fn id_of(text: &str) -> Result<JobId, String> {
    text.parse().map_err(|_| "an id is a UUID, as `daybook jobs ls` prints it".into())
}

fn state_of(text: &str) -> Result<String, String> {
    let names: Vec<&str> = StateName::ALL.iter().map(|state| state.as_str()).chain(["active"]).collect();
    if names.contains(&text) { Ok(text.to_owned()) } else { Err(format!("a state is one of {}", names.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn refused(line: &str) -> String {
        Arguments::try_parse_from(line.split_whitespace()).expect_err(line).to_string()
    }

    #[test]
    fn the_shapes_do_not_contradict_each_other() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn work_takes_kinds_and_everything_after_the_dashes_as_the_program() {
        let Command::Work(work) = parsed("daybook work --kind a --kind b --grace 1m -- sh -c --kind").command else {
            panic!("it is work")
        };
        assert_eq!((work.kinds.len(), work.concurrency, work.grace), (2, 1, 60.0));
        assert_eq!(work.command, ["sh", "-c", "--kind"]);
        for line in [
            "daybook work -- true",
            "daybook work --kind a",
            "daybook work --kind a true",
            "daybook work --kind a --concurrency 0 -- true",
            "daybook work --kind a --grace -1 -- true",
        ] {
            refused(line);
        }
    }

    #[test]
    fn serve_takes_a_reset_with_and_without_archive() {
        let reset = |line: &str| match parsed(line).command {
            Command::Serve(serve) => serve.reset_on_startup,
            other => panic!("{other:?}"),
        };
        assert_eq!(reset("daybook serve"), None);
        assert_eq!(reset("daybook serve --reset-on-startup").as_deref(), Some("true"));
        assert_eq!(reset("daybook serve --reset-on-startup --data d").as_deref(), Some("true"));
        assert_eq!(reset("daybook serve --reset-on-startup=archive").as_deref(), Some("archive"));
        assert!(refused("daybook serve --reset-on-startup=maybe").contains("invalid value"));
    }

    #[test]
    fn submit_takes_several_args_and_signed_priorities() {
        let Command::Submit(submit) =
            parsed("daybook submit comics --args a=1 b=2 --args c=3 --priority -7 --tag x --tag y --delay 10m").command
        else {
            panic!("submit is read as submit")
        };
        assert_eq!(submit.args, ["a=1", "b=2", "c=3"]);
        assert_eq!((submit.priority, submit.delay), (Some(-7), Some(600.0)));
        assert_eq!(submit.tags, ["x", "y"]);
    }

    #[test]
    fn values_that_cannot_be_are_refused_before_anything_is_sent() {
        assert!(refused("daybook submit k --priority 101").contains("101"));
        assert!(refused("daybook submit k --at tomorrow").contains("a time is written like"));
        assert!(refused("daybook submit k --delay -1").contains("--delay"));
        assert!(refused("daybook submit k --delay 5 --at 2026-01-31T07:00:00Z").contains("cannot be used with"));
        assert!(refused("daybook jobs get 17").contains("invalid value"));
        assert!(refused("daybook jobs ls --state done").contains("a state is one of scheduled, queued"));
        assert!(refused("daybook jobs cancel").contains("required"));
    }

    #[test]
    fn the_connection_may_stand_before_and_after_the_subcommand() {
        for line in ["daybook --server http://h:1 --json jobs ls", "daybook jobs ls --json --server http://h:1"] {
            let connection = parsed(line).connection;
            assert_eq!((connection.server.as_deref(), connection.json), (Some("http://h:1"), true));
        }
    }
}

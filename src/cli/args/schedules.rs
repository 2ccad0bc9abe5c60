//! What can be typed after `daybook schedules`. Only shapes and checks of single values.

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::words::seconds_of;
use crate::domain::id::{KindName, QueueName, ScheduleName};

#[derive(Debug, Args)]
pub struct SchedulesArguments {
    #[command(subcommand)]
    pub command: Option<SchedulesCommand>,
}

#[derive(Debug, Subcommand)]
pub enum SchedulesCommand {
    /// List the schedules, and when each is due next.
    Ls,
    /// Make a schedule, or change it to this.
    Set(Box<SetArguments>),
    /// Drop schedules; the jobs that they made go on.
    Rm {
        #[arg(value_name = "NAME", required = true)]
        names: Vec<ScheduleName>,
    },
}

#[derive(Debug, Args)]
pub struct SetArguments {
    /// What it is called.
    #[arg(value_name = "NAME")]
    pub name: ScheduleName,
    /// When: five fields as in "30 2 * * MON-FRI", or @hourly, @daily, @weekly, @monthly, @yearly.
    #[arg(value_name = "CRON")]
    pub cron: String,
    /// The kind of its jobs.
    #[arg(value_name = "KIND")]
    pub kind: KindName,
    /// Args of its jobs: a JSON object, @file, @- for stdin, or key=value pairs, as for submit.
    #[arg(long, num_args = 1.., value_name = "JSON|@FILE|KEY=VALUE")]
    pub args: Vec<String>,
    /// The time zone in which the fields are read: an IANA name [default: UTC].
    #[arg(long, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// What becomes of times that passed while the server was down.
    #[arg(long, value_enum, default_value_t = MissedWord::Once)]
    pub missed: MissedWord,
    /// What happens while its job before is active.
    #[arg(long, value_enum, default_value_t = OverlapWord::Queue)]
    pub overlap: OverlapWord,
    /// Where its jobs wait [default: the kind's, or default].
    #[arg(long)]
    pub queue: Option<QueueName>,
    /// -100 to 100; higher is sooner [default: 0].
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i8).range(-100..=100))]
    pub priority: Option<i8>,
    /// A label of its jobs; may be given again.
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// How many attempts its jobs have [default: the kind's, or 2].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_attempts: Option<u32>,
    /// How long an attempt may run: 90, 1.5, 10m, 2h.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds_of)]
    pub timeout: Option<f64>,
}

/// What becomes of missed times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MissedWord {
    /// None of them makes a job.
    Skip,
    /// One job is made for all of them.
    Once,
    /// Each makes a job, the latest 1,000 at most.
    All,
}

/// What happens to overlaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OverlapWord {
    /// No job is made.
    Skip,
    /// Another job is made all the same.
    Queue,
    /// The job before is cancelled.
    Replace,
}

//! `work`: a worker for any program, on any machine, for a server at the other end of a line.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::app::work::{self, News, Outcome, WorkError, WorkSpec};
use crate::cli::Asked;
use crate::cli::args::WorkArguments;
use crate::cli::console::{Console, printable};
use crate::cli::failure::{Failure, Stop};
use crate::cli::words::span;
use crate::domain::time::Millis;
use crate::telemetry::{self, LogFormat};

/// Works until it is told to go.
pub fn run(asked: &mut Asked<'_>, arguments: WorkArguments, token: Option<String>) -> Result<(), Stop> {
    let filter = std::env::var("DAYBOOK_LOG").unwrap_or_else(|_| "warn".to_owned());
    telemetry::begin(Some(&filter), LogFormat::Text).map_err(|error| Failure::of_asker(error.to_string()))?;
    let spec = spec(arguments, asked.client.server(), token)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::ours(format!("the runtime could not be started: {error}")))?;
    let named = format!("{} at {}", spec.name, spec.server);
    let (teller, heard) = work::channel();
    let working = runtime.spawn(work::work(spec, teller));
    // The news end with the worker.
    show(&heard, asked, &named);
    let worked = runtime.block_on(working);
    runtime.shutdown_background();
    worked.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())).map_err(failure)
}

fn spec(arguments: WorkArguments, server: &str, token: Option<String>) -> Result<WorkSpec, Failure> {
    let directory = std::env::current_dir()
        .map_err(|error| Failure::of_asker(format!("the current directory cannot be used: {error}")))?;
    Ok(WorkSpec {
        server: server.to_owned(),
        // An empty DAYBOOK_TOKEN is one that is not set.
        token: token.filter(|token| !token.is_empty()),
        name: arguments.name.unwrap_or_else(name_of_machine),
        kinds: arguments.kinds,
        queues: (!arguments.queues.is_empty()).then_some(arguments.queues),
        concurrency: arguments.concurrency as usize,
        grace: Millis((arguments.grace * 1000.0) as u64),
        drain_timeout: arguments.drain_timeout.map(Duration::from_secs_f64),
        command: arguments.command,
        directory,
        base: arguments.scratch.unwrap_or_else(work::default_base),
    })
}

/// A label: the name of the machine and the number of this process.
fn name_of_machine() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = read.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = if name.trim().is_empty() { "worker" } else { name.trim() };
    format!("{}/{}", &name[..name.floor_char_boundary(100)], std::process::id())
}

/// Shows what happens until the worker has ended: words to people, and lines of JSON to programs.
fn show(heard: &Receiver<News>, asked: &mut Asked<'_>, named: &str) {
    let mut has_reader = asked.json;
    for news in heard {
        say(&news, named, asked.console);
        // A worker goes on when nobody reads what it prints.
        has_reader = has_reader && serde_json::to_string(&news).is_ok_and(|line| asked.console.data(&line).is_ok());
    }
}

fn say(news: &News, named: &str, console: &mut Console) {
    let words = match news {
        News::Connected { session, resumed: true, .. } => format!("connected again: session {session} goes on"),
        News::Connected { session, .. } => format!("connected as {named}: session {session}"),
        News::Reconnecting { reason, in_s } => {
            format!("not connected ({}); trying again in {in_s:.1} s, and until it works", printable(reason))
        }
        News::Started { job_id, kind, attempt } => format!("job {job_id} started: {kind}, attempt {attempt}"),
        News::Ended { job_id, outcome, took_s, detail } => {
            let how = match outcome {
                Outcome::Completed => "completed",
                Outcome::Failed => "failed",
                Outcome::Released => "given back",
                Outcome::Lost => "ended for nothing, because its lease was lost,",
            };
            let why = detail.as_ref().map(|detail| format!(": {}", printable(detail))).unwrap_or_default();
            format!("job {job_id} {how} after {}{why}", span((took_s * 1000.0) as u64))
        }
        News::Draining { reason, jobs: 0 } => format!("no more jobs are taken ({reason})"),
        News::Draining { reason, jobs } => {
            format!("no more jobs are taken ({reason}); {jobs} are still at work, a signal stops them")
        }
        News::Stopping { reason, jobs } => format!("told {jobs} jobs to stop ({reason}); they are given back"),
        News::Closed => "done".to_owned(),
        News::LeftOut { news } => format!("({news} more happened than could be shown)"),
    };
    console.say(&words);
}

fn failure(error: WorkError) -> Stop {
    let failure = Failure::of_asker(error.to_string());
    match error.next_step() {
        Some(hint) => failure.hint(hint).into(),
        None => failure.into(),
    }
}

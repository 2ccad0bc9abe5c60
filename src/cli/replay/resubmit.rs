//! `replay --resubmit`: submits the jobs of a log again, to another server. Several requests are under way at a time; a
//! job that names others waits until these have their new ids.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::Instant;

use serde_json::json;
use uuid::Uuid;

use crate::app::replay::resubmit::{Chosen, Submission, filter_of};
use crate::app::replay::{Moment, Player};
use crate::app::source::EventSource;
use crate::cli::args::{Connection, ReplayArguments};
use crate::cli::client::{Client, Trouble};
use crate::cli::console::Console;
use crate::cli::failure::{Failure, Stop};
use crate::cli::progress::Bar;
use crate::cli::replay::pace::Pace;
use crate::cli::replay::{failure, source_of, until_of};
use crate::domain::event::Record;
use crate::domain::id::{JobId, Seq};

/// How many requests are under way at a time.
const IN_FLIGHT_MAX: usize = 8;

/// A request to be sent.
struct Letter {
    job: JobId,
    key: String,
    body: String,
}

/// What came back for a job.
type Reply = (JobId, Result<JobId, Trouble>);

/// What became of all of them.
#[derive(Default)]
struct Tally {
    new: BTreeMap<JobId, JobId>,
    refused: BTreeMap<String, u64>,
    /// Jobs that were named and have no new one.
    unnamed: u64,
    answered: usize,
}

/// Submits again.
pub fn run(arguments: &ReplayArguments, connection: &Connection, console: &mut Console) -> Result<(), Stop> {
    let filter = filter_of(arguments.filter.as_deref().unwrap_or_default()).map_err(Failure::of_asker)?;
    let client = Client::new(connection)?;
    let mut source = source_of(arguments, connection)?;
    let until = until_of(&*source, arguments);
    let mut player = Player::begin(&mut *source, until, true).map_err(failure)?;
    player.run(until).map_err(failure)?;
    let chosen = Chosen::of(player.state(), &filter);
    let run = arguments.run.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    console.say(&format!("{} jobs are submitted to {}, as run {run}", chosen.count(), client.server()));
    // A file or an archive is read once more: the submissions stand in it, and not in the state.
    drop(source);
    let mut source = source_of(arguments, connection)?;
    source.hide_purged().map_err(failure)?;
    let whole = Run { chosen: &chosen, until, name: &run, arguments };
    let sent = send_all(&mut *source, &whole, &client, console);
    let tally = sent.map_err(|stop| match stop {
        Stop::Failed(failure) => {
            Stop::Failed(failure.hint(format!("the same command with --run {run} goes on, and submits none twice")))
        }
        Stop::ReaderGone => Stop::ReaderGone,
    })?;
    if connection.json {
        let report = json!({
            "run": run, "chosen": chosen.count(), "submitted": tally.new.len(), "refused": tally.refused,
            "relations_dropped": tally.unnamed, "purged": chosen.purged(),
        });
        return console.data(&report.to_string());
    }
    console.data(&format!("submitted {}", tally.new.len()))?;
    for (code, count) in &tally.refused {
        console.data(&format!("refused   {count} {code}"))?;
    }
    if chosen.purged() > 0 {
        console.say(&format!("{} more were purged: of them there is nothing to submit", chosen.purged()));
    }
    if tally.unnamed > 0 {
        console.say(&format!("{} times a job named one that was not submitted: that was left out", tally.unnamed));
    }
    Ok(())
}

/// What is submitted again, and under which name.
struct Run<'a> {
    chosen: &'a Chosen,
    until: Moment,
    name: &'a str,
    arguments: &'a ReplayArguments,
}

fn send_all(
    source: &mut dyn EventSource,
    run: &Run<'_>,
    client: &Client,
    console: &mut Console,
) -> Result<Tally, Stop> {
    let Run { chosen, until, name, arguments } = *run;
    let lineage = source.extent().lineage;
    let (letters, outbox) = sync_channel::<Letter>(IN_FLIGHT_MAX);
    let (answer, replies) = channel::<Reply>();
    let outbox = Mutex::new(outbox);
    let bar = Bar::of_events(console, chosen.count() as u64);
    std::thread::scope(|scope| {
        for _ in 0..IN_FLIGHT_MAX {
            let (outbox, answer) = (&outbox, answer.clone());
            scope.spawn(move || post_all(client, outbox, &|reply| answer.send(reply).is_ok()));
        }
        drop(answer);
        let mut post = Post { letters, replies, tally: Tally::default(), sent: 0 };
        let mut player = Player::begin(source, until, false).map_err(failure)?;
        let (mut pace, begun) = (Pace::new(arguments.speed), Instant::now());
        let mut send = |record: Record| -> Result<(), Stop> {
            let (seq, at) = (record.seq, record.at);
            let Some(submission) = Submission::of(record, chosen, arguments.keep_keys) else { return Ok(()) };
            // The distances between the events are what was asked for.
            std::thread::sleep(pace.wait(at, begun.elapsed()));
            post.send(submission, chosen, &key_of(lineage, seq, name))?;
            bar.show(post.tally.answered as u64);
            Ok(())
        };
        while let Some(record) = player.next_carried().map_err(failure)? {
            send(record)?;
        }
        while let Some(step) = player.step(until).map_err(failure)? {
            send(step.record)?;
        }
        post.finish()
    })
}

/// The same submission of the same run has the same key.
fn key_of(lineage: Uuid, seq: Seq, run: &str) -> String {
    format!("{lineage}/{seq}/{run}")
}

struct Post {
    letters: SyncSender<Letter>,
    replies: Receiver<Reply>,
    tally: Tally,
    sent: usize,
}

impl Post {
    fn send(&mut self, mut submission: Submission, chosen: &Chosen, key: &str) -> Result<(), Stop> {
        while let Ok(reply) = self.replies.try_recv() {
            self.tally.note(reply)?;
        }
        // Each name that it has stands earlier in the log: it was sent, and there is an answer.
        let waits = |tally: &Tally, sent: usize, submission: &Submission| {
            tally.answered < sent && submission.names().any(|job| chosen.has(job) && !tally.new.contains_key(&job))
        };
        while waits(&self.tally, self.sent, &submission) {
            self.hear()?;
        }
        self.tally.unnamed += submission.rename(&self.tally.new);
        let letter = Letter { job: submission.job, key: key.to_owned(), body: submission.body() };
        self.sent += 1;
        self.letters.send(letter).map_err(|_| Failure::ours("nobody sends any more").into())
    }

    fn hear(&mut self) -> Result<(), Stop> {
        match self.replies.recv() {
            Ok(reply) => self.tally.note(reply),
            Err(_) => Err(Failure::ours("nobody sends any more").into()),
        }
    }

    fn finish(mut self) -> Result<Tally, Stop> {
        while self.tally.answered < self.sent {
            self.hear()?;
        }
        Ok(self.tally)
    }
}

impl Tally {
    fn note(&mut self, (job, reply): Reply) -> Result<(), Stop> {
        self.answered += 1;
        match reply {
            Ok(new) => drop(self.new.insert(job, new)),
            Err(Trouble::Refused(problem)) if problem.status < 500 => {
                let code = problem.document.text("code").unwrap_or("refused").to_owned();
                *self.refused.entry(code).or_default() += 1;
            }
            Err(trouble) => return Err(trouble.into()),
        }
        Ok(())
    }
}

/// Sends letters as long as there are some, and somebody wants to hear the answers.
fn post_all(client: &Client, outbox: &Mutex<Receiver<Letter>>, answer: &dyn Fn(Reply) -> bool) {
    loop {
        let next = outbox.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
        let Ok(Letter { job, key, body }) = next else { return };
        let posted = client.post_text("/api/jobs", &[("Idempotency-Key", &key)], &body);
        let id = posted.and_then(|answer| match answer.document.text("id").and_then(|id| id.parse().ok()) {
            Some(id) => Ok(id),
            None => Err(Trouble::Broken("the answer names no job".into())),
        });
        if !answer((job, id)) {
            return;
        }
    }
}

//! Followers of lines, over a log in memory that counts how often it is read and can be made to fail.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::domain::id::JobId;
use crate::domain::time::Timestamp;
use crate::live::lines::{Followed, FollowerToTheEnd, LineFollower};
use crate::live::tests::{Client, live_over, submit};
use crate::live::{Live, Settings};
use crate::sessions::line_news::{LineNews, LineWatch};
use crate::sessions::ports::LogStream;
use crate::sessions::reading::{JobLogReader, KeptLine};
use crate::sessions::testing::World;

/// Lines in memory.
#[derive(Default)]
pub struct Lines {
    kept: Mutex<BTreeMap<JobId, Vec<KeptLine>>>,
    news: LineNews,
    reads: AtomicUsize,
    fails: AtomicBool,
}

impl Lines {
    fn say(&self, job: JobId, text: &str) {
        let mut all = self.kept.lock();
        let kept = all.entry(job).or_default();
        let (n, at) = (kept.len() as u64 + 1, Timestamp::from_ms(1_000));
        kept.push(KeptLine { n, at, stream: LogStream::Stdout, text: text.into() });
        self.news.announce(job, n);
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

impl JobLogReader for Lines {
    fn lines_after(&self, job: JobId, after: u64, lines_max: usize, _: usize) -> io::Result<Vec<KeptLine>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is gone"));
        }
        let all = self.kept.lock();
        let kept = all.get(&job).map_or(&[][..], Vec::as_slice);
        Ok(kept.iter().skip(after as usize).take(lines_max).cloned().collect())
    }

    fn watch(&self, job: JobId) -> LineWatch {
        self.news.watch(job)
    }
}

async fn start() -> (World, Arc<Lines>, Arc<Live>) {
    let world = World::start().await;
    let lines = Arc::new(Lines::default());
    let live = live_over(&world, lines.clone(), Settings::default());
    (world, lines, live)
}

/// A page that follows a job's lines and has been told all there are.
async fn following(live: &Arc<Live>, job: JobId) -> Client {
    let mut client = Client::connect(live);
    client.subscribe("logs", json!({"id": job}), None);
    client.hear("subscribed").await;
    client.settle().await;
    client
}

fn texts(frame: &Value) -> Vec<&str> {
    frame["lines"].as_array().expect("lines").iter().map(|line| line["text"].as_str().expect("a text")).collect()
}

#[tokio::test]
async fn a_line_wakes_those_who_follow_its_job_and_costs_each_one_read() {
    let (world, lines, live) = start().await;
    let job = submit(&world, "k").await;
    let mut clients = [following(&live, job).await, following(&live, job).await];
    for text in ["one", "two"] {
        let before = lines.reads();
        lines.say(job, text);
        for client in &mut clients {
            assert_eq!(texts(&client.hear("logs").await), [text]);
        }
        assert_eq!(lines.reads(), before + clients.len());
    }
}

#[tokio::test]
async fn a_follower_of_a_quiet_job_reads_nothing() {
    let (world, lines, live) = start().await;
    let (quiet, loud) = (submit(&world, "k").await, submit(&world, "k").await);
    let (quiet_one, mut loud_one) = (following(&live, quiet).await, following(&live, loud).await);
    let before = lines.reads();
    lines.say(loud, "one");
    assert_eq!(texts(&loud_one.hear("logs").await), ["one"]);
    submit(&world, "k").await;
    assert!(quiet_one.subscriber.stirred().now_or_never().is_none());
    assert_eq!(lines.reads(), before + 1, "that of the other");
    drop((quiet_one, loud_one));
    assert_eq!(lines.news.jobs(), 0, "nobody is told any more");
}

#[tokio::test]
async fn many_lines_cost_one_read_for_hundreds_of_them() {
    let (world, lines, live) = start().await;
    let job = submit(&world, "k").await;
    let mut client = following(&live, job).await;
    let before = lines.reads();
    (0..2_000).for_each(|number| lines.say(job, &number.to_string()));
    let mut seen = Vec::new();
    while seen.len() < 2_000 {
        let frame = client.hear("logs").await;
        seen.extend(frame["lines"].as_array().expect("lines").iter().map(|line| line["n"].as_u64().expect("a number")));
    }
    assert_eq!(seen, (1..=2_000).collect::<Vec<u64>>(), "each once, in order");
    assert_eq!(lines.reads() - before, 4);
}

#[test]
fn after_a_read_that_came_to_the_end_the_next_one_has_time() {
    let lines = Lines::default();
    let job = JobId::new(Timestamp::from_ms(1), crate::domain::id::Ordinal(1), 1);
    lines.say(job, "before");
    let mut follower = LineFollower::new(&lines, job, 0);
    assert_eq!(follower.read(&lines, 10, 1_000).expect("reads").len(), 1);
    assert!(follower.is_due(Instant::now()), "nobody has said that this was the last one");
    assert!(follower.read(&lines, 10, 1_000).expect("reads").is_empty());
    assert!(!follower.may_have_more());
    let begun = Instant::now();
    lines.say(job, "one");
    lines.say(job, "two");
    assert_eq!(follower.read(&lines, 1, 1_000).expect("reads").len(), 1);
    assert!(follower.is_due(Instant::now()), "there is more, and so it goes on at once");
    assert_eq!(follower.read(&lines, 1, 1_000).expect("reads").len(), 1);
    lines.say(job, "three");
    assert!(!follower.is_due(begun) && follower.is_due(Instant::now() + Duration::from_millis(50)));
}

#[tokio::test]
async fn who_follows_a_job_to_its_end_gets_every_line_and_then_the_end() {
    let (world, lines, _live) = start().await;
    let job = submit(&world, "k").await;
    let logs: Arc<dyn JobLogReader> = lines.clone();
    let mut followers = [0, 1].map(|after| FollowerToTheEnd::new(&world.handle, &logs, job, after));
    lines.say(job, "one");
    lines.say(job, "two");
    let first = followers[0].next(1, 1_000).await.expect("reads");
    assert!(matches!(first, Followed::Lines(lines) if &*lines[0].text == "one"));
    let end = async {
        lines.say(job, "three");
        world.cancel(job).await;
    };
    let rest = async |follower: &mut FollowerToTheEnd| {
        let mut texts = Vec::new();
        while let Followed::Lines(lines) = follower.next(10, 1_000).await.expect("reads") {
            texts.extend(lines.into_iter().map(|line| line.text.to_string()));
        }
        texts
    };
    let [one, other] = &mut followers;
    let ((), one, other) = tokio::join!(end, rest(one), rest(other));
    assert_eq!((one, other), (vec!["two".to_owned(), "three".to_owned()], vec!["two".to_owned(), "three".to_owned()]));
}

#[tokio::test]
async fn a_log_that_cannot_be_read_ends_the_connection_and_can_be_followed_again() {
    let (world, lines, live) = start().await;
    let job = submit(&world, "k").await;
    let mut client = following(&live, job).await;
    lines.fails.store(true, Ordering::Relaxed);
    lines.say(job, "one");
    client.subscriber.stirred().await;
    assert!(client.subscriber.burst().await.is_err());
    lines.fails.store(false, Ordering::Relaxed);
    let mut again = Client::connect(&live);
    let here = world.handle.views().position().0;
    again.subscribe("logs", json!({"id": job, "after": 0}), Some(here));
    assert_eq!(again.hear("subscribed").await["mode"], "resume");
    assert_eq!(texts(&again.hear("logs").await), ["one"]);
    again.hear("caught_up").await;
}

//! What a remote worker tells those who started it. How it is shown is their business.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde::Serialize;

use crate::domain::id::{Epoch, JobId, KindName, SessionId};

/// How many news may wait for somebody who does not read them; more are dropped and counted.
pub const NEWS_MAX: usize = 4096;

/// Something that happened. As JSON it is an object with a `type`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum News {
    /// The server took the worker. `resumed`: it is the session that it had before.
    Connected { session: SessionId, epoch: Epoch, resumed: bool },
    /// The server was not reached; it is tried again.
    Reconnecting { reason: String, in_s: f64 },
    /// A program runs for a job.
    Started { job_id: JobId, kind: KindName, attempt: u32 },
    /// The run of a job is over.
    Ended { job_id: JobId, outcome: Outcome, took_s: f64, detail: Option<String> },
    /// No new jobs are taken. `jobs`: how many are still at work.
    Draining { reason: &'static str, jobs: usize },
    /// What runs is told to stop.
    Stopping { reason: &'static str, jobs: usize },
    /// The worker has left in order.
    Closed,
    /// Nobody read fast enough.
    LeftOut { news: u64 },
}

/// How a run ended, as far as the worker knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Completed,
    Failed,
    /// Given back.
    Released,
    /// Its lease was gone: the server does not want to know any more.
    Lost,
}

/// The way to those who want to know.
#[derive(Debug)]
pub struct Teller {
    news: SyncSender<News>,
    left_out: AtomicU64,
}

/// A way to tell news, and the end at which they are heard: it ends when the worker does.
pub fn channel() -> (Teller, Receiver<News>) {
    let (news, heard) = sync_channel(NEWS_MAX);
    (Teller { news, left_out: AtomicU64::new(0) }, heard)
}

impl Teller {
    /// Tells something, and never waits.
    pub fn tell(&self, news: News) {
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        let told = left_out == 0 || self.news.try_send(News::LeftOut { news: left_out }).is_ok();
        if !told || self.news.try_send(news).is_err() {
            self.left_out.fetch_add(left_out * u64::from(!told) + 1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_that_nobody_reads_are_counted() {
        let (teller, heard) = channel();
        (0..NEWS_MAX + 3).for_each(|_| teller.tell(News::Closed));
        assert_eq!(heard.try_iter().count(), NEWS_MAX);
        teller.tell(News::Closed);
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [News::LeftOut { news: 3 }, News::Closed]);
    }
}

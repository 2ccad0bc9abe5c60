//! Who waits for the lines of which job, and the number of the newest line that each was told. Holds no line and reads
//! none; a job that nobody follows costs one look into an empty map.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::id::JobId;

/// Where new lines are announced. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct LineNews {
    watched: Arc<Mutex<HashMap<JobId, watch::Sender<u64>>>>,
}

/// One follower's end. The last one of a job that is dropped takes the job's place with it.
#[derive(Debug)]
pub struct LineWatch {
    job: JobId,
    newest: watch::Receiver<u64>,
    news: LineNews,
}

impl LineNews {
    /// Says that the lines of a job can be read up to this number.
    pub fn announce(&self, job: JobId, newest: u64) {
        let watched = self.watched.lock();
        if let Some(sender) = watched.get(&job) {
            sender.send_if_modified(|told| std::mem::replace(told, newest.max(*told)) < newest);
        }
    }

    /// Hears of a job's lines from now on. Watch first and read after, so that no line falls between.
    pub fn watch(&self, job: JobId) -> LineWatch {
        let newest = self.watched.lock().entry(job).or_insert_with(|| watch::Sender::new(0)).subscribe();
        LineWatch { job, newest, news: self.clone() }
    }

    /// How many jobs are followed.
    #[cfg(test)]
    pub fn jobs(&self) -> usize {
        self.watched.lock().len()
    }
}

impl LineWatch {
    /// The number of the newest line that was announced; 0 if none was since it is watched.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Waits until a line after this number was announced. Dropping the future loses nothing.
    pub async fn beyond(&self, seen: u64) {
        // The sender stays as long as somebody watches.
        let _ = self.newest.clone().wait_for(|&newest| newest > seen).await;
    }
}

impl Drop for LineWatch {
    fn drop(&mut self) {
        // Nobody begins to watch meanwhile: the lock is held.
        if let Entry::Occupied(place) = self.news.watched.lock().entry(self.job)
            && place.get().receiver_count() == 1
        {
            place.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::domain::id::Ordinal;
    use crate::domain::time::Timestamp;

    fn job(number: u64) -> JobId {
        JobId::new(Timestamp::from_ms(1_790_000_000_000), Ordinal(number), number)
    }

    #[test]
    fn a_job_has_a_place_only_while_somebody_follows_it() {
        let news = LineNews::default();
        news.announce(job(1), 7);
        assert_eq!(news.jobs(), 0);
        let (one, other) = (news.watch(job(1)), news.watch(job(1)));
        let _elsewhere = news.watch(job(2));
        assert_eq!(news.jobs(), 2);
        drop(one);
        news.announce(job(1), 8);
        assert_eq!((news.jobs(), other.newest()), (2, 8));
        drop(other);
        assert_eq!(news.jobs(), 1);
    }

    #[test]
    fn who_waits_hears_of_the_newest_line_of_its_job_and_of_no_other() {
        let news = LineNews::default();
        let watch = news.watch(job(1));
        assert!(watch.beyond(0).now_or_never().is_none());
        news.announce(job(2), 9);
        assert!(watch.beyond(0).now_or_never().is_none());
        news.announce(job(1), 4);
        news.announce(job(1), 3);
        assert!(watch.beyond(3).now_or_never().is_some() && watch.beyond(4).now_or_never().is_none());
    }
}

//! The latest preview picture of each running job. In memory only and bounded: under pressure the picture that was
//! touched longest ago goes first. Nothing here is history.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::domain::id::JobId;

/// The most bytes of one picture.
pub const PREVIEW_BYTES_MAX: usize = 512 * 1024;
/// The most bytes of all pictures together.
pub const PREVIEWS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the picture of an ended job stays.
pub const KEPT_AFTER_END: Duration = Duration::from_secs(600);

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    pub media_type: Arc<str>,
    pub bytes: Bytes,
}

/// All pictures, by job.
#[derive(Debug, Default)]
pub struct Previews {
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    pictures: HashMap<JobId, Kept>,
    /// The jobs in the order in which their pictures came.
    order: BTreeMap<u64, JobId>,
    next: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    preview: Preview,
    place: u64,
    goes_at: Option<Instant>,
}

impl Previews {
    /// Shows a picture in the place of the job's last.
    pub fn put(&self, job: JobId, preview: Preview) {
        let mut shelf = self.shelf.lock();
        shelf.remove(job);
        shelf.next += 1;
        let place = shelf.next;
        shelf.bytes += preview.bytes.len();
        shelf.order.insert(place, job);
        shelf.pictures.insert(job, Kept { preview, place, goes_at: None });
        while shelf.bytes > PREVIEWS_BYTES_MAX {
            let oldest = *shelf.order.first_key_value().expect("bytes are counted of pictures that are there").1;
            shelf.remove(oldest);
        }
    }

    /// The latest picture of a job.
    pub fn get(&self, job: JobId) -> Option<Preview> {
        self.shelf.lock().pictures.get(&job).map(|kept| kept.preview.clone())
    }

    /// Notes that the job has ended: its picture goes after [`KEPT_AFTER_END`].
    pub fn job_ended(&self, job: JobId, now: Instant) {
        if let Some(kept) = self.shelf.lock().pictures.get_mut(&job) {
            kept.goes_at = Some(now + KEPT_AFTER_END);
        }
    }

    /// Drops the picture of a job that begins anew, or whose traces are to be gone.
    pub fn forget(&self, job: JobId) {
        self.shelf.lock().remove(job);
    }

    /// Drops the pictures whose time is over.
    pub fn sweep(&self, now: Instant) {
        let mut shelf = self.shelf.lock();
        let over = |kept: &Kept| kept.goes_at.is_some_and(|at| at <= now);
        let gone: Vec<JobId> = shelf.pictures.iter().filter(|(_, kept)| over(kept)).map(|(&job, _)| job).collect();
        gone.into_iter().for_each(|job| shelf.remove(job));
    }
}

impl Shelf {
    fn remove(&mut self, job: JobId) {
        if let Some(kept) = self.pictures.remove(&job) {
            self.order.remove(&kept.place);
            self.bytes -= kept.preview.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::id::Ordinal;
    use crate::domain::time::Timestamp;

    use super::*;

    fn job(number: u64) -> JobId {
        JobId::new(Timestamp::from_ms(1), Ordinal(number), 0)
    }

    fn picture(length: usize) -> Preview {
        Preview { media_type: "image/png".into(), bytes: vec![7; length].into() }
    }

    #[test]
    fn the_latest_picture_of_a_job_wins() {
        let previews = Previews::default();
        previews.put(job(1), picture(10));
        previews.put(job(1), picture(20));
        assert_eq!(previews.get(job(1)), Some(picture(20)));
        assert_eq!(previews.get(job(2)), None);
        previews.forget(job(1));
        assert_eq!(previews.get(job(1)), None);
    }

    #[test]
    fn all_pictures_together_stay_within_their_limit_and_the_oldest_goes_first() {
        let previews = Previews::default();
        let fit = (PREVIEWS_BYTES_MAX / PREVIEW_BYTES_MAX) as u64;
        (0..fit).for_each(|number| previews.put(job(number), picture(PREVIEW_BYTES_MAX)));
        previews.put(job(0), picture(PREVIEW_BYTES_MAX));
        previews.put(job(fit), picture(PREVIEW_BYTES_MAX));
        assert_eq!(previews.shelf.lock().bytes, PREVIEWS_BYTES_MAX);
        assert_eq!(previews.get(job(1)), None);
        assert!(previews.get(job(0)).is_some() && previews.get(job(fit)).is_some());
    }

    #[test]
    fn the_picture_of_an_ended_job_goes_after_a_while() {
        let previews = Previews::default();
        let now = Instant::now();
        previews.put(job(1), picture(10));
        previews.put(job(2), picture(10));
        previews.job_ended(job(1), now);
        previews.sweep(now + KEPT_AFTER_END - Duration::from_millis(1));
        assert!(previews.get(job(1)).is_some());
        previews.sweep(now + KEPT_AFTER_END);
        assert_eq!(previews.get(job(1)), None);
        assert!(previews.get(job(2)).is_some());
    }
}

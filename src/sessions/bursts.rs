//! Brings what arrived together into few calls: a chatty worker costs a command a burst and not one a line. Pure.
//!
//! Between two calls that change where a job stands, log lines, items and progress of the same job may pass each other;
//! among themselves they keep their order, and nothing passes a call of the other sort.

use std::collections::HashMap;

use crate::domain::id::JobId;
use crate::sessions::calls::{Call, ProgressCall};
use crate::sessions::frames::{JobCall, LeaseRef};
use crate::sessions::ports::LogLine;

/// The calls about one job, in the order in which they are to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Burst {
    pub lease: LeaseRef,
    /// What comes before the run's end, or all of it.
    pub calls: Vec<Call>,
    /// The first call that ends the run.
    pub end: Option<Call>,
    /// What comes after it, and therefore too late.
    pub late: Vec<Call>,
}

/// Sorts calls by lease and joins what can be joined.
pub fn gather(calls: Vec<JobCall>) -> Vec<Burst> {
    let mut places: HashMap<(JobId, String), usize> = HashMap::new();
    let mut gathered: Vec<(LeaseRef, Gathering)> = Vec::new();
    for JobCall { lease, call } in calls {
        let place = *places.entry((lease.job_id, lease.token.reveal().to_owned())).or_insert_with(|| {
            gathered.push((lease, Gathering::default()));
            gathered.len() - 1
        });
        gathered[place].1.add(call);
    }
    gathered.into_iter().map(|(lease, gathering)| gathering.finish(lease)).collect()
}

#[derive(Default)]
struct Gathering {
    done: Vec<Call>,
    lines: Vec<LogLine>,
    items: Vec<Call>,
    progress: Option<ProgressCall>,
    /// What came before the run's end, and the end.
    ended: Option<(Vec<Call>, Call)>,
}

impl Gathering {
    fn add(&mut self, call: Call) {
        match call {
            Call::Log(mut lines) => self.lines.append(&mut lines),
            Call::Progress(later) => match &mut self.progress {
                Some(earlier) => earlier.merge(later),
                None => self.progress = Some(later),
            },
            Call::Items(mut reports) => match self.items.last_mut() {
                Some(Call::Items(earlier)) => earlier.append(&mut reports),
                _ => self.items.push(Call::Items(reports)),
            },
            Call::AddItems(mut frames) => match self.items.last_mut() {
                Some(Call::AddItems(earlier)) => earlier.append(&mut frames),
                _ => self.items.push(Call::AddItems(frames)),
            },
            Call::Complete(_) | Call::Release | Call::Fail(_) if self.ended.is_none() => {
                self.close();
                self.ended = Some((std::mem::take(&mut self.done), call));
            }
            Call::Checkpoint(_) | Call::Submit { .. } | Call::Complete(_) | Call::Release | Call::Fail(_) => {
                self.close();
                self.done.push(call);
            }
        }
    }

    fn close(&mut self) {
        if !self.lines.is_empty() {
            self.done.push(Call::Log(std::mem::take(&mut self.lines)));
        }
        self.done.append(&mut self.items);
        self.done.extend(self.progress.take().map(Call::Progress));
    }

    fn finish(mut self, lease: LeaseRef) -> Burst {
        self.close();
        match self.ended {
            None => Burst { lease, calls: self.done, end: None, late: Vec::new() },
            Some((calls, end)) => Burst { lease, calls, end: Some(end), late: self.done },
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::batch::{ItemReport, ItemState, NewItem};
    use crate::domain::id::{LeaseToken, Ordinal};
    use crate::domain::job::Progress;
    use crate::domain::time::Timestamp;

    use super::*;

    fn lease(number: u64) -> LeaseRef {
        let job_id = JobId::new(Timestamp::from_ms(1), Ordinal(number), 0);
        LeaseRef { job_id, token: LeaseToken::new(format!("token {number}")) }
    }

    fn line(text: &str) -> Call {
        Call::Log(vec![LogLine::system(text)])
    }

    fn percent(percent: f64) -> Call {
        Call::Progress(ProgressCall {
            progress: Progress { percent: Some(percent), ..Progress::default() },
            preview: None,
        })
    }

    fn item(key: &str) -> Call {
        Call::Items(vec![ItemReport { key: key.into(), state: ItemState::Completed, result: None, error: None }])
    }

    fn more(key: &str) -> Call {
        Call::AddItems(vec![vec![NewItem { key: key.into(), args: None }]])
    }

    fn burst(calls: Vec<Call>) -> Burst {
        let calls = calls.into_iter().map(|call| JobCall { lease: lease(1), call }).collect();
        let mut bursts = gather(calls);
        assert_eq!(bursts.len(), 1);
        bursts.remove(0)
    }

    fn of_one_job(calls: Vec<Call>) -> Vec<Call> {
        burst(calls).calls
    }

    #[test]
    fn lines_and_items_are_joined_and_the_latest_progress_wins() {
        let calls = of_one_job(vec![percent(1.0), line("a"), item("x"), percent(2.0), line("b"), item("y")]);
        let Call::Items(reports) = &calls[1] else { panic!("{calls:?}") };
        assert_eq!(reports.len(), 2);
        assert_eq!(calls[0], Call::Log(vec![LogLine::system("a"), LogLine::system("b")]));
        assert_eq!((calls.len(), &calls[2]), (3, &percent(2.0)));
    }

    #[test]
    fn items_that_are_added_and_then_reported_keep_their_order() {
        let calls = of_one_job(vec![more("x"), more("y"), item("x"), more("z"), item("z")]);
        let sorts: Vec<bool> = calls.iter().map(|call| matches!(call, Call::AddItems(_))).collect();
        assert_eq!(sorts, [true, false, true, false]);
    }

    #[test]
    fn frames_that_add_items_are_joined_and_stay_apart_in_what_they_bring() {
        let calls = of_one_job(vec![more("x"), more("y"), more("z")]);
        let [Call::AddItems(frames)] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn nothing_passes_the_end_of_a_job_or_a_checkpoint() {
        let checkpoint = Call::Checkpoint(crate::domain::json::Json::from_checked("1"));
        let before = [item("a"), checkpoint.clone(), item("b"), line("c")];
        let after = [Call::Release, line("late"), Call::Complete(None)];
        let burst = burst(before.into_iter().chain(after).collect());
        assert_eq!(burst.calls, [item("a"), checkpoint, line("c"), item("b")]);
        assert_eq!((burst.end, burst.late), (Some(Call::Release), vec![line("late"), Call::Complete(None)]));
    }

    #[test]
    fn jobs_are_kept_apart_and_so_are_the_tokens_of_one() {
        let other = LeaseRef { token: LeaseToken::new("another"), ..lease(1) };
        let call = |lease: &LeaseRef, text| JobCall { lease: lease.clone(), call: line(text) };
        let bursts = gather(vec![call(&lease(1), "a"), call(&lease(2), "b"), call(&other, "c"), call(&lease(1), "d")]);
        let leases: Vec<LeaseRef> = bursts.iter().map(|burst| burst.lease.clone()).collect();
        assert_eq!(leases, [lease(1), lease(2), other]);
        assert_eq!(bursts[0].calls, [Call::Log(vec![LogLine::system("a"), LogLine::system("d")])]);
    }
}

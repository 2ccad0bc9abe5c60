//! A base and the events behind it give what the whole log gives: the state, the finished jobs, and what jobs carry
//! (B1).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{FoldError, Kept, carried_of, fold};
use crate::domain::event::Record;
use crate::domain::id::{JobId, Seq};
use crate::domain::job::Job;
use crate::domain::state::Slot;
use crate::domain::testing::{World, history};
use crate::engine::recovery::recover;
use crate::engine::snapshot::fold_hash;
use crate::engine::verify::{Difference, verify};
use crate::log::memory::MemoryLog;
use crate::log::{EventLog, LogReader};
use crate::views::{FinishedStore, MemoryFinished, finish_ordinal};

/// A log with a segment for each group.
fn log_of(records: &[Record]) -> MemoryLog {
    let mut log = MemoryLog::new();
    for group in records.split_inclusive(|record| !record.continues) {
        log.submit(group.into()).unwrap();
        log.committed().unwrap();
    }
    log
}

/// What is kept of a job by now.
fn kept_in(world: &World, job: JobId) -> Kept {
    match world.state.slot(job) {
        None => Kept::Nothing,
        Some(Slot::Finished(stub)) if stub.purged().is_some() => Kept::Job,
        Some(Slot::Finished(_) | Slot::Active(_)) => Kept::Payloads,
    }
}

fn trim(log: &MemoryLog, last: Seq, kept_of: &dyn Fn(JobId) -> Kept) {
    let (reader, trimmer) = (log.reader(), log.trimmer());
    let folded = fold(&*reader, &*trimmer, last, kept_of, &|| false).unwrap();
    assert_eq!(folded.seq, last);
    folded.replace_events(&*trimmer).unwrap();
}

/// The ends of groups, but the last one.
fn ends(records: &[Record]) -> Vec<Seq> {
    let ends = records.iter().filter(|record| !record.continues).map(|record| record.seq);
    ends.filter(|seq| seq.0 < records.len() as u64).collect()
}

fn recovers(log: &Arc<dyn LogReader>, world: &World, what: &str) {
    let finished = Arc::new(MemoryFinished::default());
    let recovered = recover(log, |_| None, finished.clone(), &|_| ()).unwrap();
    assert_eq!(fold_hash(&recovered.state), fold_hash(&world.state), "{what}");
    for stub in world.state.stubs() {
        let stored = finished.get(stub.finish_ordinal).unwrap();
        assert_eq!(stored.as_ref(), world.finished.get(&stub.id), "{what}");
    }
    let wanted = |job: &&Arc<Job>| kept_in(world, job.id) == Kept::Payloads;
    for job in world.state.jobs().chain(world.finished.values()).filter(wanted) {
        for seq in job.payload_seqs() {
            assert_eq!(log.carried(seq).unwrap(), world.records[seq.0 as usize - 1], "{what}");
        }
    }
    let verdict = verify(&**log, Some(&*finished), Vec::new()).unwrap();
    assert_eq!((verdict.differences, verdict.fold), (Vec::new(), fold_hash(&world.state)), "{what}");
}

#[test]
fn wherever_the_oldest_events_are_dropped_the_same_follows_from_what_is_left() {
    let world = history(30);
    for end in ends(&world.records).into_iter().step_by(23) {
        let log = log_of(&world.records);
        trim(&log, end, &|job| kept_in(&world, job));
        assert_eq!(log.reader().earliest(), end.next());
        recovers(&log.reader(), &world, &format!("dropped up to {end}"));
    }
}

#[test]
fn bases_on_bases_are_as_good_as_one() {
    let world = history(30);
    let log = log_of(&world.records);
    for end in ends(&world.records).into_iter().step_by(31) {
        trim(&log, end, &|job| kept_in(&world, job));
        recovers(&log.reader(), &world, &format!("dropped up to {end}"));
    }
}

#[test]
fn a_store_that_is_older_than_the_base_is_filled_anew_and_one_that_is_newer_goes_on() {
    let world = history(30);
    let log = log_of(&world.records);
    let finished = Arc::new(MemoryFinished::default());
    recover(&log.reader(), |_| None, finished.clone(), &|_| ()).unwrap();
    let last = *ends(&world.records).last().unwrap();
    trim(&log, last, &|job| kept_in(&world, job));
    let recovered = recover(&log.reader(), |_| None, finished.clone(), &|_| ()).unwrap();
    assert_eq!(
        (recovered.folded, fold_hash(&recovered.state)),
        (world.state.seq().0 - last.0, fold_hash(&world.state))
    );
    let old = Arc::new(MemoryFinished::default());
    let forged = world.finished.values().next().unwrap();
    old.put(std::slice::from_ref(forged), &[], Seq(3)).unwrap();
    recover(&log.reader(), |_| None, old.clone(), &|_| ()).unwrap();
    for stub in world.state.stubs() {
        assert_eq!(old.get(stub.finish_ordinal).unwrap().as_ref(), world.finished.get(&stub.id));
    }
}

#[test]
fn a_job_that_nobody_wants_is_left_out_of_the_jobs_and_stays_in_the_state() {
    let world = history(30);
    let log = log_of(&world.records);
    let last = *ends(&world.records).last().unwrap();
    let known = world.finished.keys().filter(|&&job| kept_in(&world, job) == Kept::Payloads);
    let unwanted: BTreeSet<JobId> = known.copied().step_by(2).collect();
    trim(&log, last, &|job| if unwanted.contains(&job) { Kept::Nothing } else { kept_in(&world, job) });
    let reader = log.reader();
    let mut kept = BTreeSet::new();
    crate::engine::fold::finished_before(&*reader, |job| {
        assert!(matches!(world.state.slot(job.id), Some(Slot::Finished(stub)) if stub.finish_ordinal == finish_ordinal(&job)));
        kept.insert(job.id);
        Ok::<_, crate::log::ReadError>(())
    })
    .unwrap();
    assert!(!kept.is_empty() && kept.is_disjoint(&unwanted));
    let job = world.finished.values().find(|job| unwanted.contains(&job.id)).unwrap();
    assert!(reader.carried(job.submitted).is_err());
    let verdict = verify(&*reader, None, Vec::new()).unwrap();
    assert_eq!(verdict.fold, fold_hash(&world.state), "the state has all");
    assert!(
        matches!(verdict.differences[..], [Difference::Base { .. }]),
        "and as these jobs are known, they are missed"
    );
}

#[test]
fn what_some_jobs_carried_can_be_taken_out_of_what_is_carried_and_the_rest_stays() {
    let world = history(30);
    let log = log_of(&world.records);
    trim(&log, *ends(&world.records).last().unwrap(), &|job| kept_in(&world, job));
    let reader = log.reader();
    let jobs = world.state.jobs().map(|job| job.id).chain(world.finished.keys().copied());
    let all: BTreeSet<JobId> = jobs.filter(|&job| kept_in(&world, job) == Kept::Payloads).collect();
    let purged: BTreeSet<JobId> = all.iter().copied().step_by(3).collect();
    let before = reader.base().unwrap().carried();
    let unwanted = carried_of(&*reader.base().unwrap(), &|job| purged.contains(&job)).unwrap();
    let is_of_purged = |seq: u64| world.records[seq as usize - 1].event.job().is_some_and(|job| purged.contains(&job));
    assert!(unwanted.len() > 5 && before.iter().all(|seq| unwanted.contains(seq) == is_of_purged(seq)));
    log.trimmer().drop_carried(&unwanted).unwrap();
    for seq in before {
        assert_eq!(reader.carried(Seq(seq)).is_err(), is_of_purged(seq), "event {seq}");
    }
    let folded = verify(&*reader, None, Vec::new()).unwrap().fold;
    assert_eq!(folded, fold_hash(&world.state), "what is known of them is the same");
}

#[test]
fn a_fold_that_is_told_to_stop_stops() {
    let world = history(30);
    let log = log_of(&world.records);
    let outcome = fold(&*log.reader(), &*log.trimmer(), Seq(9), &|_| Kept::Payloads, &|| true);
    assert!(matches!(outcome, Err(FoldError::Stopped)));
}

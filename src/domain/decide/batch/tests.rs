//! What a worker says while it runs, rule by rule.

use crate::domain::batch::{ITEMS_MAX, ItemState};
use crate::domain::command::{Command, LeaseProof};
use crate::domain::event::{JobCheckpointed, JobFileStored, JobItemsAdded, JobItemsReported, JobProgressed, LateCall};
use crate::domain::id::TokenHash;
use crate::domain::job::{FileInfo, Progress};
use crate::domain::json::Json;
use crate::domain::refusal::Refusal;
use crate::domain::testing::*;
use crate::domain::time::Millis;

fn half_done() -> Progress {
    Progress { percent: Some(50.0), stage: Some("upscale".into()), ..Progress::default() }
}

fn picture(size: u64) -> FileInfo {
    FileInfo { name: "out.png".into(), media_type: "image/png".into(), size }
}

fn stale(proof: LeaseProof) -> LeaseProof {
    LeaseProof { token: TokenHash([0xee; 16]), ..proof }
}

#[test]
fn progress_is_recorded_with_its_moment_and_the_latest_wins() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let job = proof.job;
    world.given(Command::Progress { proof, progress: Progress::default() });
    world.passed(Millis(1000));
    let recorded = JobProgressed { job, progress: half_done() }.into();
    let now = world.now;
    world.when(Command::Progress { proof, progress: half_done() }).then([recorded]).and_job(job, |job| {
        let extras = job.extras.as_ref().expect("a job with progress has extras");
        assert_eq!(extras.progress.as_deref(), Some(&half_done()));
        assert_eq!(extras.progress_at, Some(now));
    });
}

#[test]
fn progress_with_a_stale_token_is_refused() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let late = Command::Progress { proof: stale(proof), progress: half_done() };
    world.when(late).then_refused_as_late(proof.job, LateCall::Progress).and_job(proof.job, |job| {
        assert_eq!(job.extras.as_ref().and_then(|extras| extras.progress.clone()), None);
    });
}

#[test]
fn a_worker_may_add_items_to_a_job_that_had_none() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let added = JobItemsAdded { job: proof.job, items: items(&["a", "b"]) }.into();
    world.when(Command::AddItems { proof, items: items(&["a", "b"]) }).then([added]).and_job(proof.job, |job| {
        assert_eq!(job.items().map(|items| items.counts().pending), Some(2));
    });
}

#[test]
fn items_whose_keys_are_known_are_passed_over() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    let added = JobItemsAdded { job: proof.job, items: items(&["b"]) }.into();
    world.when(Command::AddItems { proof, items: items(&["a", "b", "b"]) }).then([added]);
    world.when(Command::AddItems { proof, items: items(&["b", "a"]) }).then_nothing();
}

#[test]
fn an_item_that_is_done_is_not_begun_again_because_it_was_added_again() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    world.given(Command::ReportItems { proof, reports: vec![report("a", ItemState::Completed)] });
    world.when(Command::AddItems { proof, items: items(&["a"]) }).then_nothing().and_job(proof.job, |job| {
        assert_eq!(job.items().map(|items| items.counts().completed), Some(1));
    });
}

#[test]
fn a_worker_cannot_add_more_items_than_a_job_may_have() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    let keys: Vec<String> = (0..ITEMS_MAX).map(|number| number.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let too_many = Command::AddItems { proof, items: items(&keys) };
    world.when(too_many).then_refused(Refusal::TooManyItems { entry: 0 });
    world.when(Command::AddItems { proof, items: items(&keys[1..]) }).then_types(&["job.items_added"]);
}

#[test]
fn adding_items_with_a_stale_token_is_refused() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let late = Command::AddItems { proof: stale(proof), items: items(&["a"]) };
    world.when(late).then_refused_as_late(proof.job, LateCall::Items);
}

#[test]
fn each_item_has_its_own_end() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a", "b", "c", "d"]));
    let reports =
        vec![report("a", ItemState::Completed), report("c", ItemState::Failed), report("d", ItemState::Skipped)];
    let reported = JobItemsReported { job: proof.job, reports: reports.clone() }.into();
    let seq = world.state.seq().next();
    world.when(Command::ReportItems { proof, reports }).then([reported]).and_job(proof.job, |job| {
        let items = job.items().expect("a batch has items");
        let counts = items.counts();
        assert_eq!((counts.completed, counts.failed, counts.skipped, counts.pending), (1, 1, 1, 1));
        assert_eq!(items.get("a").and_then(|item| item.reported), Some(seq));
        assert_eq!(items.get("b").and_then(|item| item.reported), None);
    });
}

#[test]
fn a_report_of_an_item_that_is_not_known_is_refused_with_all_that_came_with_it() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    let reports = vec![report("a", ItemState::Completed), report("z", ItemState::Completed)];
    let refusal = Refusal::UnknownItems { job: proof.job, keys: vec!["z".into()] };
    world.when(Command::ReportItems { proof, reports }).then_refused(refusal).and_job(proof.job, |job| {
        assert_eq!(job.items().map(|items| items.counts().pending), Some(1));
    });
}

#[test]
fn every_key_that_is_not_known_is_named_once() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    let strange: Vec<String> = (0..200).map(|number| format!("z{number}")).collect();
    let twice = strange.iter().chain(&strange).map(|key| report(key, ItemState::Completed));
    let reports = [report("a", ItemState::Completed)].into_iter().chain(twice).collect();
    let refusal = Refusal::UnknownItems { job: proof.job, keys: strange.clone() };
    world.when(Command::ReportItems { proof, reports }).then_refused(refusal);
}

#[test]
fn an_item_of_a_job_without_items_is_not_known() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let reports = vec![report("a", ItemState::Completed)];
    let refusal = Refusal::UnknownItems { job: proof.job, keys: vec!["a".into()] };
    world.when(Command::ReportItems { proof, reports }).then_refused(refusal);
}

#[test]
fn an_empty_report_changes_nothing() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    world.when(Command::ReportItems { proof, reports: vec![] }).then_nothing();
}

#[test]
fn reporting_items_with_a_stale_token_is_refused() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    let late = Command::ReportItems { proof: stale(proof), reports: vec![report("a", ItemState::Failed)] };
    world.when(late).then_refused_as_late(proof.job, LateCall::Items);
}

#[test]
fn a_rerun_finds_only_the_items_pending_that_nobody_reported() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a", "b", "c"]));
    world.given(Command::ReportItems { proof, reports: vec![report("b", ItemState::Completed)] });
    world.given(fail(proof, true));
    world.passed(Millis::from_secs(60));
    world.given(Command::Tick);
    world.run(proof.job);
    let job = world.job(proof.job);
    let items = job.items().expect("a batch has items").list();
    let pending: Vec<&str> =
        items.iter().filter(|item| item.state == ItemState::Pending).map(|item| &*item.key).collect();
    assert_eq!(pending, ["a", "c"]);
}

#[test]
fn a_checkpoint_is_found_again_by_the_next_attempt() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let data = Json::from_checked("[1,2]");
    let noted = JobCheckpointed { job: proof.job, data: data.clone() }.into();
    world.when(Command::Checkpoint { proof, data }).then([noted]);
    let seq = world.state.seq();
    world.given(fail(proof, true));
    let checkpoint = world.job(proof.job).extras.as_ref().and_then(|extras| extras.checkpoint);
    assert_eq!(checkpoint, Some(seq));
}

#[test]
fn a_checkpoint_with_a_stale_token_is_refused() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let late = Command::Checkpoint { proof: stale(proof), data: Json::from_checked("1") };
    world.when(late).then_refused_as_late(proof.job, LateCall::Checkpoint);
}

#[test]
fn a_file_that_is_stored_again_replaces_the_one_before() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(Command::StoreFile { proof, file: picture(10) });
    let stored = JobFileStored { job: proof.job, file: picture(20) }.into();
    world.when(Command::StoreFile { proof, file: picture(20) }).then([stored]).and_job(proof.job, |job| {
        assert_eq!(job.extras.as_ref().map(|extras| extras.files.clone()), Some(vec![picture(20)]));
    });
}

#[test]
fn a_file_with_a_stale_token_is_refused() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let late = Command::StoreFile { proof: stale(proof), file: picture(1) };
    world.when(late).then_refused_as_late(proof.job, LateCall::File);
}

#[test]
fn a_token_that_holds_is_confirmed_without_an_event() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.when(Command::CheckLease { proof, call: LateCall::Log }).then_nothing();
    let late = Command::CheckLease { proof: stale(proof), call: LateCall::Log };
    world.when(late).then_refused_as_late(proof.job, LateCall::Log);
}

#[test]
fn a_worker_that_was_asked_to_stop_may_still_tell_how_far_it_came() {
    let mut world = World::new();
    let proof = world.running(a_batch(&["a"]));
    world.given(cancel(proof.job));
    world.when(Command::Progress { proof, progress: half_done() }).then_types(&["job.progressed"]);
    let reports = vec![report("a", ItemState::Completed)];
    world.when(Command::ReportItems { proof, reports }).then_types(&["job.items_reported"]);
    world.when(Command::StoreFile { proof, file: picture(1) }).then_types(&["job.file_stored"]);
}

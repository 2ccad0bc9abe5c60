//! Given / when / then for what is forgotten and what stays.

use std::sync::Arc;

use crate::domain::command::{Answer, Command, Forget, NewJob};
use crate::domain::decide::retain::LOOKED_AT_MAX;
use crate::domain::event::{JobQueued, JobsForgotten, QueuedCause};
use crate::domain::id::{JobId, Seq};
use crate::domain::job::StateName;
use crate::domain::limits::FORGOTTEN_MAX;
use crate::domain::refusal::Refusal;
use crate::domain::retention::{Keep, Round, Rules};
use crate::domain::testing::*;
use crate::domain::time::Millis;

const LONG: Millis = Millis(1_000_000);

fn keep(count: u64) -> Rules {
    Rules { general: Keep { age: LONG, count }, ..Rules::default() }
}

fn forget(rules: Rules) -> Command {
    Command::Forget(Forget { rules: Arc::new(rules), round: Round::default(), earliest: Seq(1) })
}

fn ended(world: &mut World, job: NewJob) -> JobId {
    let proof = world.running(job);
    world.given(complete(proof));
    world.passed(Millis(10));
    proof.job
}

fn forgotten(jobs: &[JobId]) -> crate::domain::event::Event {
    JobsForgotten { jobs: jobs.to_vec() }.into()
}

#[test]
fn the_oldest_go_when_there_are_more_than_are_kept() {
    let mut world = World::new();
    let jobs: Vec<JobId> = (0..5).map(|_| ended(&mut world, a_job())).collect();
    let answer = Answer::Forgotten { jobs: jobs[..3].to_vec(), stayed: 0, next: None };
    world.when(forget(keep(2))).then([forgotten(&jobs[..3])]).and_answered(answer);
    assert!(world.state.slot(jobs[2]).is_none() && world.state.slot(jobs[3]).is_some());
    world.when(forget(keep(2))).then_nothing();
}

#[test]
fn what_is_too_old_goes_however_few_there_are_and_nothing_goes_right_after_its_end() {
    let mut world = World::new();
    let job = ended(&mut world, a_job());
    let rules = Rules { general: Keep { age: Millis(100), count: 9 }, least_age: Millis(50), ..Rules::default() };
    world.when(forget(rules.clone())).then_nothing();
    world.when(forget(Rules { general: Keep { age: Millis(0), count: 0 }, ..rules.clone() })).then_nothing();
    world.passed(Millis(40));
    world.when(forget(rules.clone())).then_nothing();
    world.passed(Millis(50));
    world.when(forget(rules)).then([forgotten(&[job])]);
}

#[test]
fn each_class_has_a_number_of_its_own() {
    let mut world = World::new();
    let kept = ended(&mut world, NewJob { kind: kind("rare"), ..a_job() });
    let plain: Vec<JobId> = (0..3).map(|_| ended(&mut world, a_job())).collect();
    let proof = world.running(a_job());
    world.given(fail(proof, false));
    let rules = Rules {
        states: [(StateName::Failed, Keep { age: LONG, count: 0 })].into(),
        kinds: [(kind("rare"), Keep { age: LONG, count: 1 })].into(),
        ..keep(1)
    };
    world.when(forget(rules)).then([forgotten(&[plain[0], plain[1], proof.job])]);
    assert!(world.state.slot(kept).is_some());
}

#[test]
fn what_a_blocked_job_waits_for_stays_until_that_goes_on_and_no_younger_one_goes_in_its_place() {
    let mut world = World::new();
    let first = ended(&mut world, a_job());
    let open = world.running(a_job());
    let waiting = world.submitted(a_job_after(&[first, open.job]));
    let second = ended(&mut world, a_job());
    let answer = Answer::Forgotten { jobs: Vec::new(), stayed: 1, next: None };
    world.when(forget(keep(1))).then_nothing().and_answered(answer);
    world.when(forget(keep(0))).then([forgotten(&[second])]);
    world.given(complete(open));
    assert_eq!(world.state_of(waiting), StateName::Queued);
    world.when(forget(keep(0))).then([forgotten(&[first, open.job])]);
}

#[test]
fn who_is_retried_goes_on_although_what_it_waited_for_is_forgotten() {
    let mut world = World::new();
    let first = ended(&mut world, a_job());
    let after = world.submitted(a_job_after(&[first]));
    let proof = world.run(after);
    world.given(fail(proof, false));
    let rules = Rules { states: [(StateName::Failed, Keep { age: LONG, count: 9 })].into(), ..keep(0) };
    world.when(forget(rules)).then([forgotten(&[first])]);
    let retry = world.retry(after, false, false);
    world.when(retry).then_types(&["job.retried"]).and_state(after, StateName::Queued);
}

#[test]
fn who_waited_in_vain_for_a_job_that_is_forgotten_is_not_revived() {
    let mut world = World::new();
    let first = world.running(a_job());
    let other = world.running(a_job());
    let after = world.submitted(a_job_after(&[first.job]));
    let both = world.submitted(a_job_after(&[first.job, other.job]));
    world.given(fail(first, false));
    world.given(fail(other, false));
    let rules = Rules { states: [(StateName::Cancelled, Keep { age: LONG, count: 9 })].into(), ..keep(1) };
    world.when(forget(rules)).then([forgotten(&[first.job])]);
    let retry = world.retry(after, false, false);
    world.when(retry).then_refused(Refusal::DependencyNotRetried { job: after, dependency: first.job });
    let retry = world.retry(other.job, false, true);
    world.when(retry).then_types(&["job.retried"]).and_state(both, StateName::Cancelled);
}

#[test]
fn a_child_with_a_key_stays_as_long_as_its_parent() {
    let mut world = World::new();
    let parent = world.running(a_job());
    let child = NewJob { unique_key: Some("page-1".into()), ..a_job() };
    let Answer::Submitted { jobs, .. } = world.given(submit_children(parent, [child.clone()])) else { panic!("jobs") };
    let proof = world.run(jobs[0]);
    world.given(complete(proof));
    world.when(forget(keep(0))).then_nothing();
    let again = Answer::Submitted { jobs: jobs.clone(), replayed: true };
    world.when(submit_children(parent, [child])).then_nothing().and_answered(again);
    world.given(complete(parent));
    world.when(forget(keep(0))).then([forgotten(&[parent.job])]);
    world.when(forget(keep(0))).then([forgotten(&jobs)]);
}

#[test]
fn a_request_is_known_by_its_key_as_long_as_one_of_its_jobs() {
    let mut world = World::new();
    let request = || submit_once("k", 1, [a_job(), a_job(), a_job()]);
    let Answer::Submitted { jobs, .. } = world.given(request()) else { panic!("jobs") };
    for &job in &jobs[..2] {
        let proof = world.run(job);
        world.given(complete(proof));
    }
    world.when(forget(keep(0))).then([forgotten(&jobs[1..2])]);
    let again = Answer::Submitted { jobs: vec![jobs[0], jobs[2]], replayed: true };
    world.when(request()).then_nothing().and_answered(again);
    let proof = world.run(jobs[2]);
    world.given(complete(proof));
    world.when(forget(keep(0))).then([forgotten(&jobs[2..])]);
    world.when(forget(keep(0))).then([forgotten(&jobs[..1])]);
    world.when(request()).then_types(&["job.submitted", "job.submitted", "job.submitted"]);
}

#[test]
fn a_job_whose_processes_may_live_stays_and_so_does_one_whose_purged_payloads_the_log_still_has() {
    let mut world = World::new();
    let (held, purged) = (ended(&mut world, a_job()), ended(&mut world, a_job()));
    world.held.insert(held.ordinal());
    world.given(Command::Purge { job: purged });
    world.when(forget(keep(0))).then_nothing();
    world.held.clear();
    let earliest = world.state.seq();
    let later = Command::Forget(Forget { rules: Arc::new(keep(0)), round: Round::default(), earliest });
    world.when(later).then([forgotten(&[held, purged])]);
}

#[test]
fn a_round_goes_on_where_it_stood_and_forgets_only_so_many_at_once() {
    let mut world = World::new();
    let last = world.submitted(a_job());
    let many = FORGOTTEN_MAX + 5;
    let jobs = world.submitted_all((0..many + 3).map(|_| a_job_after(&[last])));
    for &job in &jobs[..many] {
        world.given(cancel(job));
    }
    let rules = Arc::new(keep(0));
    let mut round = Round::default();
    let mut gone = Vec::new();
    loop {
        let command = Command::Forget(Forget { rules: rules.clone(), round, earliest: Seq(1) });
        let Answer::Forgotten { jobs, next, .. } = world.given(command) else { panic!("what went") };
        assert!(jobs.len() <= FORGOTTEN_MAX);
        gone.extend(jobs);
        let Some(next) = next else { break };
        round = next;
    }
    assert_eq!(gone, jobs[..many]);
    world.given(cancel(last));
    // Those that waited for it are settled now, and go with it.
    world.when(forget(keep(1))).then_types(&["jobs.forgotten"]);
    assert_eq!(world.state.stubs().count(), 1);
}

#[test]
fn many_that_must_stay_do_not_keep_a_round_from_coming_to_its_end() {
    let mut world = World::new();
    let many = LOOKED_AT_MAX + 10;
    let open = world.running(a_job());
    let jobs = world.submitted_all((0..many).map(|_| a_job()));
    for &job in &jobs {
        world.append(&[crate::domain::event::JobCancelled {
            job,
            reason: crate::domain::job::Reason::CancelledByRequest,
            error: None,
            run_ended: None,
        }
        .into()]);
    }
    world.held.extend(jobs.iter().map(|job| job.ordinal()));
    world.given(complete(open));
    let rules = Arc::new(keep(1));
    let command = |round| Command::Forget(Forget { rules: rules.clone(), round, earliest: Seq(1) });
    let Answer::Forgotten { next, .. } = world.given(command(Round::default())) else { panic!("what went") };
    let next = next.expect("there are more than it looks at");
    let answer = Answer::Forgotten { jobs: Vec::new(), stayed: many as u64, next: None };
    world.when(command(next)).then_nothing().and_answered(answer);
    assert!(world.state.slot(open.job).is_some(), "nobody goes in the place of those that stay");
}

#[test]
fn who_waits_for_something_forgotten_has_it_fulfilled() {
    let mut world = World::new();
    let first = ended(&mut world, a_job());
    let open = world.running(a_job());
    let waiting = world.submitted(a_job_after(&[first, open.job]));
    // Not by a decision: the log may say so nevertheless, and then it means that the job had completed.
    world.state.slots.set(first.ordinal(), None);
    world.reread();
    let settled = JobQueued { job: waiting, cause: QueuedCause::DependenciesCompleted };
    world.when(complete(open)).and_settled([settled.into()]);
}

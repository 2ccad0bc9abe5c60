//! Tokens that hold no longer, rule by rule.

use crate::domain::command::{Answer, Command, LeaseProof};
use crate::domain::event::{LateCall, LossCause};
use crate::domain::id::TokenHash;
use crate::domain::job::{Progress, StateName};
use crate::domain::json::Json;
use crate::domain::refusal::Refusal;
use crate::domain::testing::*;
use crate::domain::time::Millis;

type End = fn(LeaseProof) -> Command;

const ENDS: [(LateCall, End); 4] = [
    (LateCall::Complete, complete),
    (LateCall::Fail, |proof| fail(proof, true)),
    (LateCall::Fail, |proof| fail(proof, false)),
    (LateCall::Release, release),
];

fn stranger(proof: LeaseProof) -> LeaseProof {
    LeaseProof { token: TokenHash([0xee; 16]), ..proof }
}

#[test]
fn the_very_call_that_ended_the_lease_gets_its_answer_again() {
    for (call, end) in ENDS {
        let mut world = World::new();
        let proof = world.running(a_job());
        world.given(end(proof));
        let state = world.state_of(proof.job);
        for _ in 0..3 {
            let then = world.when(end(proof)).then_nothing().and_answered(Answer::Job(proof.job));
            then.and_state(proof.job, state);
        }
        world.reread();
        assert_eq!(world.when(end(proof)).then_nothing().outcome, Ok(Answer::Job(proof.job)), "{call:?}");
    }
}

#[test]
fn the_very_call_that_ended_a_lease_under_a_cancel_request_gets_its_answer_again() {
    for (_, end) in ENDS {
        let mut world = World::new();
        let proof = world.running(a_job());
        world.given(cancel(proof.job));
        world.given(end(proof));
        world.when(end(proof)).then_nothing().and_answered(Answer::Job(proof.job));
        world.reread();
        world.when(end(proof)).then_nothing().and_answered(Answer::Job(proof.job));
    }
}

#[test]
fn any_other_call_with_the_ended_lease_is_refused_and_leaves_evidence() {
    for (ended_by, end) in ENDS {
        for (call, other) in ENDS.into_iter().filter(|(call, _)| *call != ended_by) {
            let mut world = World::new();
            let proof = world.running(a_job());
            world.given(end(proof));
            let state = world.state_of(proof.job);
            world.when(other(proof)).then_refused_as_late(proof.job, call).and_state(proof.job, state);
        }
        let mut world = World::new();
        let proof = world.running(a_job());
        world.given(end(proof));
        let progress = Progress::default();
        world.when(Command::Progress { proof, progress }).then_refused_as_late(proof.job, LateCall::Progress);
    }
}

#[test]
fn a_repeated_fail_is_answered_while_the_next_attempt_runs_already() {
    let mut world = World::new();
    let first = world.running(a_job());
    world.given(fail(first, true));
    world.passed(Millis::from_secs(60));
    world.given(Command::Tick);
    let second = world.run(first.job);
    world.when(fail(first, true)).then_nothing().and_state(first.job, StateName::Running);
    world.when(complete(first)).then_refused_as_late(first.job, LateCall::Complete);
    world.when(complete(second)).and_state(first.job, StateName::Completed);
    world.when(fail(first, true)).then_refused_as_late(first.job, LateCall::Fail);
}

#[test]
fn a_run_that_ended_otherwise_answers_no_call_again() {
    let mut world = World::new();
    let lost = world.running(a_job());
    let session = world.holder(lost.job);
    world.given(lose(lost.job, session, LossCause::LeaseExpired));
    let cancelled = world.running(a_job());
    world.given(cancel(cancelled.job));
    world.passed(Millis::from_secs(60));
    world.given(Command::Tick);
    for proof in [lost, cancelled] {
        for (call, end) in ENDS {
            world.when(end(proof)).then_refused_as_late(proof.job, call);
        }
    }
}

#[test]
fn a_strangers_token_changes_nothing() {
    let mut world = World::new();
    let proof = world.running(a_job());
    let token_calls = [
        (LateCall::Complete, complete(stranger(proof))),
        (LateCall::Fail, fail(stranger(proof), true)),
        (LateCall::Release, release(stranger(proof))),
        (LateCall::Checkpoint, Command::Checkpoint { proof: stranger(proof), data: Json::from_checked("1") }),
    ];
    for (call, command) in token_calls {
        world.when(command).then_refused_as_late(proof.job, call).and_state(proof.job, StateName::Running);
    }
    world.when(complete(proof)).and_state(proof.job, StateName::Completed);
}

#[test]
fn a_token_for_a_job_that_never_ran_proves_nothing() {
    let mut world = World::new();
    let job = world.submitted(a_job());
    let proof = LeaseProof { job, token: TokenHash([0; 16]) };
    world.when(complete(proof)).then_refused_as_late(job, LateCall::Complete).and_state(job, StateName::Queued);
}

#[test]
fn at_most_sixteen_late_calls_of_a_job_are_kept_as_evidence() {
    let mut world = World::new();
    let proof = world.running(a_job());
    for _ in 0..16 {
        world.when(complete(stranger(proof))).then_refused_as_late(proof.job, LateCall::Complete);
    }
    world.when(complete(stranger(proof))).then_refused(Refusal::LeaseLost { job: proof.job });
}

#[test]
fn the_evidence_is_counted_over_the_end_of_the_job_and_over_a_restart() {
    let mut world = World::new();
    let proof = world.running(a_job());
    for _ in 0..7 {
        world.given_late(complete(stranger(proof)));
    }
    world.given(complete(proof));
    for _ in 0..5 {
        world.given_late(fail(proof, true));
    }
    world.reread();
    for _ in 0..4 {
        world.when(fail(proof, true)).then_refused_as_late(proof.job, LateCall::Fail);
    }
    world.when(fail(proof, true)).then_refused(Refusal::LeaseLost { job: proof.job });
    world.when(complete(proof)).then_nothing();
}

#[test]
fn evidence_of_an_ended_job_is_found_by_walking_its_trail() {
    let mut world = World::new();
    let proof = world.running(a_job());
    world.given(complete(proof));
    let completed = world.state.seq();
    world.given_late(fail(proof, true));
    world.given_late(release(proof));
    let trail: Vec<_> = world.records.iter().rev().take(2).map(|record| record.previous).collect();
    assert_eq!(trail, [Some(completed.next()), Some(completed)]);
    assert_eq!(world.state.slot(proof.job).map(|slot| slot.last_seq()), Some(world.state.seq()));
}

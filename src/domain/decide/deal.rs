//! Granting leases: which queued job goes to which waiting session, within the limits of kinds and queues.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use crate::domain::command::{Answer, Claim, Grant};
use crate::domain::decide::{Context, Decision};
use crate::domain::event::{JobStarted, QueueRateSpent};
use crate::domain::id::{KindName, Ordinal, QueueName, SessionId, TokenHash};
use crate::domain::job::Job;
use crate::domain::queue::{Limits, Rank};
use crate::domain::rate::{RateLimit, Spent};
use crate::domain::state::{State, Worker};
use crate::domain::time::Timestamp;

/// Deals jobs out to the claims in turn, one each, until nothing fits any more.
pub fn deal(state: &State, ctx: &Context<'_>, claims: &[Claim]) -> Decision {
    let mut table = Table::new(state, ctx);
    let mut events = Vec::new();
    let mut granted: Vec<Vec<Grant>> = vec![Vec::new(); claims.len()];
    let mut open: Vec<usize> = (0..claims.len()).collect();
    while !open.is_empty() {
        open.retain(|&place| {
            let claim = &claims[place];
            let Some(&token) = claim.tokens.get(granted[place].len()) else { return false };
            let Some(worker) = state.worker(claim.session) else { return false };
            let Some(job) = table.take_for(worker) else { return false };
            let started = started(ctx, job, worker, token);
            granted[place].push(Grant { job: started.job, attempt: started.attempt });
            events.push(started.into());
            true
        });
    }
    events.extend(table.spent(ctx.now).map(Into::into));
    Decision::done(Answer::Granted(granted), events)
}

/// The first moment at which a rate lets another job start for one of the sessions; none when no rate holds anything
/// back that they take.
pub fn next_start_at(
    state: &State,
    limits: &Limits,
    now: Timestamp,
    sessions: impl Iterator<Item = SessionId> + Clone,
) -> Option<Timestamp> {
    if limits.rates.is_empty() {
        return None;
    }
    let lines = state.indexes().ready().lines().filter(|(queue, _, _)| !state.is_paused(queue));
    let starts = lines.filter_map(|(queue, kind, _)| {
        let at = limits.rates.get(queue)?.next_start_at(state.spent(queue)).filter(|&at| at > now)?;
        let mut workers = sessions.clone().filter_map(|session| state.worker(session));
        workers.any(|worker| takes(worker, queue, kind)).then_some(at)
    });
    starts.min()
}

/// What is left to deal.
struct Table<'a> {
    state: &'a State,
    lines: Vec<Line<'a>>,
    /// How many more may run, for kinds and queues with a limit.
    kinds: BTreeMap<&'a KindName, u32>,
    queues: BTreeMap<&'a QueueName, u32>,
    buckets: BTreeMap<&'a QueueName, Bucket>,
}

/// What a queue's rate lets start now, and what was started of it.
struct Bucket {
    rate: RateLimit,
    spent: Option<Spent>,
    free: u32,
    started: u32,
}

/// The jobs of one kind that wait in one queue.
struct Line<'a> {
    queue: &'a QueueName,
    kind: &'a KindName,
    waiting: Peekable<Box<dyn Iterator<Item = Rank> + 'a>>,
    held: &'a BTreeSet<Ordinal>,
}

impl<'a> Table<'a> {
    fn new(state: &'a State, ctx: &Context<'a>) -> Table<'a> {
        let indexes = state.indexes();
        let lines = indexes.ready().lines().filter(|(queue, _, _)| !state.is_paused(queue));
        let lines = lines.map(|(queue, kind, line)| {
            let waiting: Box<dyn Iterator<Item = Rank>> = Box::new(line.iter());
            Line { queue, kind, waiting: waiting.peekable(), held: ctx.held }
        });
        let kinds = ctx.limits.kinds.iter();
        let queues = ctx.limits.queues.iter();
        let buckets = ctx.limits.rates.iter().map(|(queue, &rate)| {
            let spent = state.spent(queue);
            (queue, Bucket { rate, spent, free: rate.free(spent, ctx.now), started: 0 })
        });
        Table {
            state,
            lines: lines.collect(),
            kinds: kinds.map(|(kind, limit)| (kind, limit.saturating_sub(indexes.running_of_kind(kind)))).collect(),
            queues: queues.map(|(name, limit)| (name, limit.saturating_sub(indexes.running_of_queue(name)))).collect(),
            buckets: buckets.collect(),
        }
    }

    /// Takes the best job that the worker may have now.
    fn take_for(&mut self, worker: &Worker) -> Option<&'a Job> {
        let (kinds, queues, buckets) = (&self.kinds, &self.queues, &self.buckets);
        let has_room = |line: &Line<'_>| {
            let is_in_time = buckets.get(line.queue).is_none_or(|bucket| bucket.started < bucket.free);
            is_in_time && kinds.get(line.kind) != Some(&0) && queues.get(line.queue) != Some(&0)
        };
        let open = self.lines.iter_mut().filter(|line| takes(worker, line.queue, line.kind) && has_room(line));
        let (_, line) = open.filter_map(|line| line.first().map(|rank| (rank, line))).min_by_key(|(rank, _)| *rank)?;
        let (_, ordinal) = line.waiting.next().expect("a line that has a first job has a next one");
        if let Some(room) = self.kinds.get_mut(line.kind) {
            *room -= 1;
        }
        if let Some(room) = self.queues.get_mut(line.queue) {
            *room -= 1;
        }
        if let Some(bucket) = self.buckets.get_mut(line.queue) {
            bucket.started += 1;
        }
        let slot = self.state.slots.get(ordinal).expect("a job that is ready is there");
        Some(self.state.active(slot.id()).expect("a job that is ready has not ended"))
    }

    /// What the starts took from the buckets.
    fn spent(&self, now: Timestamp) -> impl Iterator<Item = QueueRateSpent> {
        let used = self.buckets.iter().filter(|(_, bucket)| bucket.started > 0);
        used.map(move |(&queue, bucket)| QueueRateSpent {
            queue: queue.clone(),
            jobs: bucket.started,
            used_millionths: bucket.rate.spend(bucket.spent, now, bucket.started),
        })
    }
}

impl Line<'_> {
    fn first(&mut self) -> Option<Rank> {
        while self.waiting.next_if(|(_, job)| self.held.contains(job)).is_some() {}
        self.waiting.peek().copied()
    }
}

fn started(ctx: &Context<'_>, job: &Job, worker: &Worker, token: TokenHash) -> JobStarted {
    JobStarted {
        job: job.id,
        attempt: job.failures + 1,
        session: worker.joined.session,
        worker: worker.joined.name.clone(),
        token,
        place: worker.joined.place,
        timeout_at: job.policy.timeout.map(|timeout| ctx.now.plus(timeout)),
    }
}

fn takes(worker: &Worker, queue: &QueueName, kind: &KindName) -> bool {
    let kind_fits = worker.joined.kinds.is_empty() || worker.joined.kinds.contains(kind);
    let queue_fits = worker.joined.queues.as_ref().is_none_or(|queues| queues.contains(queue));
    kind_fits && queue_fits
}

#[cfg(test)]
mod tests;

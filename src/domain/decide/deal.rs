//! Granting leases: which queued job goes to which waiting session, within the limits of kinds and queues.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::command::{Answer, Claim, Grant};
use crate::domain::decide::{Context, Decision};
use crate::domain::event::JobStarted;
use crate::domain::id::{KindName, Ordinal, QueueName};
use crate::domain::queue::Rank;
use crate::domain::state::{State, Worker};

/// Deals jobs out to the claims in turn, one each, until nothing fits any more.
pub fn deal(state: &State, ctx: &mut Context<'_>, claims: &[Claim]) -> Decision {
    let mut table = Table { state, ctx, dealt: BTreeSet::new(), kinds: BTreeMap::new(), queues: BTreeMap::new() };
    let mut events = Vec::new();
    let mut granted: Vec<Vec<Grant>> = vec![Vec::new(); claims.len()];
    let mut open: Vec<usize> = (0..claims.len()).collect();
    while !open.is_empty() {
        open.retain(|&place| {
            let claim = &claims[place];
            let Some(token) = claim.tokens.get(granted[place].len()) else { return false };
            let Some(worker) = state.worker(claim.session) else { return false };
            let Some(ordinal) = table.next_for(worker) else { return false };
            let started = table.start(ordinal, worker, claim, *token);
            granted[place].push(Grant { job: started.job, attempt: started.attempt });
            events.push(started.into());
            true
        });
    }
    Decision::done(Answer::Granted(granted), events)
}

struct Table<'a, 'b> {
    state: &'a State,
    ctx: &'a Context<'b>,
    dealt: BTreeSet<Ordinal>,
    kinds: BTreeMap<KindName, u32>,
    queues: BTreeMap<QueueName, u32>,
}

impl Table<'_, '_> {
    /// The best job that the worker may have now.
    fn next_for(&self, worker: &Worker) -> Option<Ordinal> {
        let lines = self.state.indexes().ready().lines();
        let open = lines.filter(|(queue, kind, _)| takes(worker, queue, kind) && self.has_room(queue, kind));
        open.filter_map(|(_, _, ranks)| self.first_free(ranks)).min().map(|(_, ordinal)| ordinal)
    }

    fn first_free(&self, ranks: &BTreeSet<Rank>) -> Option<Rank> {
        ranks.iter().find(|(_, job)| !self.dealt.contains(job) && !self.ctx.held.contains(job)).copied()
    }

    fn has_room(&self, queue: &QueueName, kind: &KindName) -> bool {
        if matches!(self.state.queues.get(queue), Some(Some(_))) {
            return false;
        }
        let of_kind = self.state.indexes().running_of_kind(kind) + self.kinds.get(kind).copied().unwrap_or(0);
        let of_queue = self.state.indexes().running_of_queue(queue) + self.queues.get(queue).copied().unwrap_or(0);
        self.ctx.limits.kinds.get(kind).is_none_or(|&limit| of_kind < limit)
            && self.ctx.limits.queues.get(queue).is_none_or(|&limit| of_queue < limit)
    }

    fn start(
        &mut self,
        ordinal: Ordinal,
        worker: &Worker,
        claim: &Claim,
        token: crate::domain::id::TokenHash,
    ) -> JobStarted {
        let slot = self.state.slots.get(ordinal).expect("a job that is ready is there");
        let job = self.state.active(slot.id()).expect("a job that is ready has not ended");
        self.dealt.insert(ordinal);
        *self.kinds.entry(job.kind.clone()).or_default() += 1;
        *self.queues.entry(job.queue.clone()).or_default() += 1;
        JobStarted {
            job: job.id,
            attempt: job.failures + 1,
            session: claim.session,
            worker: worker.joined.name.clone(),
            token,
            place: worker.joined.place,
            timeout_at: job.policy.timeout.map(|timeout| self.ctx.now.plus(timeout)),
        }
    }
}

fn takes(worker: &Worker, queue: &QueueName, kind: &KindName) -> bool {
    let kind_fits = worker.joined.kinds.is_empty() || worker.joined.kinds.contains(kind);
    let queue_fits = worker.joined.queues.as_ref().is_none_or(|queues| queues.contains(queue));
    kind_fits && queue_fits
}

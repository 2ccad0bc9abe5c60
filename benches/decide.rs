//! What the core costs, by the number of jobs that wait: it must stay flat.
//!
//! `submit` is one job accepted, `cycle` one job submitted, one started and completed, each decided and evolved;
//! `deal` decides which 64 jobs go to 16 sessions. Run with `cargo bench --bench decide`.

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use daybook::domain::command::{Answer, Claim, Command, JoinWorker, LeaseProof, NewJob, Submit};
use daybook::domain::decide::{Chance, Context, decide};
use daybook::domain::event::{Actor, Record};
use daybook::domain::evolve::evolve;
use daybook::domain::id::{SessionId, TokenHash};
use daybook::domain::job::WorkerPlace;
use daybook::domain::json::Json;
use daybook::domain::queue::Limits;
use daybook::domain::state::{Slot, State};
use daybook::domain::time::Timestamp;
use uuid::Uuid;

const SIZES: [usize; 3] = [0, 100_000, 1_000_000];
const BULK: usize = 1000;

struct Core {
    state: State,
    limits: Limits,
    held: BTreeSet<daybook::domain::id::Ordinal>,
    tokens: u128,
}

impl Core {
    fn with_queued(jobs: usize) -> Core {
        let mut core = Core { state: State::default(), limits: Limits::default(), held: BTreeSet::new(), tokens: 0 };
        (0..16).for_each(|number| core.join(number));
        for _ in 0..jobs / BULK {
            core.take(submit(BULK));
        }
        core
    }

    fn join(&mut self, number: u128) {
        self.take(Command::JoinWorker(JoinWorker {
            session: session(number),
            name: "worker".into(),
            kinds: Vec::new(),
            queues: None,
            place: WorkerPlace::Remote,
        }));
    }

    fn decide(&self, command: Command) -> daybook::domain::decide::Decision {
        let now = Timestamp::from_ms(1_790_000_000_000);
        let mut ctx = Context { now, limits: &self.limits, held: &self.held, chance: Chance::new(7) };
        decide(&self.state, &mut ctx, command)
    }

    fn take(&mut self, command: Command) -> Answer {
        let decision = self.decide(command);
        for event in decision.events {
            let record = Record {
                seq: self.state.seq().next(),
                at: Timestamp::from_ms(1_790_000_000_000),
                previous: event.job().and_then(|id| self.state.slot(id)).map(Slot::last_seq),
                actor: Actor::CLIENT,
                continues: false,
                event,
            };
            evolve(&mut self.state, &record);
        }
        decision.outcome.expect("what is measured is not refused")
    }

    fn claim(&mut self, number: u128, most: usize) -> Claim {
        let tokens = (0..most).map(|_| {
            self.tokens += 1;
            TokenHash(self.tokens.to_be_bytes())
        });
        Claim { session: session(number), tokens: tokens.collect() }
    }

    fn cycle(&mut self) {
        self.take(submit(1));
        let claim = self.claim(3, 1);
        let token = claim.tokens[0];
        let Answer::Granted(grants) = self.take(Command::Deal { claims: vec![claim] }) else {
            unreachable!("a deal answers with grants")
        };
        let proof = LeaseProof { job: grants[0][0].job, token };
        self.take(Command::Complete { proof, result: None });
    }
}

fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

fn submit(jobs: usize) -> Command {
    let job = NewJob::plain(
        "resize".parse().expect("a good name"),
        "default".parse().expect("a good name"),
        Json::from_checked(format!("{{\"text\":\"{}\"}}", "x".repeat(189))),
    );
    Command::Submit(Submit { jobs: vec![job; jobs], idempotency: None, parent: None })
}

fn costs(criterion: &mut Criterion) {
    for size in SIZES {
        let mut core = Core::with_queued(size);
        let claims: Vec<Claim> = (0..16).map(|number| core.claim(number, 4)).collect();
        criterion.bench_with_input(BenchmarkId::new("deal", size), &size, |bench, _| {
            bench.iter(|| black_box(core.decide(Command::Deal { claims: claims.clone() })));
        });
        criterion.bench_with_input(BenchmarkId::new("cycle", size), &size, |bench, _| bench.iter(|| core.cycle()));
        criterion.bench_with_input(BenchmarkId::new("submit", size), &size, |bench, _| {
            bench.iter(|| core.take(submit(1)));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = costs
}
criterion_main!(benches);

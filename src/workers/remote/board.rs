//! What a remote worker holds: its jobs with their words, and how its line stands. The runs write here what they say,
//! the line takes it from here and puts here what it hears; neither knows the other. Nothing here waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};

use crate::domain::id::{Epoch, JobId, LeaseToken, SessionId};
use crate::domain::time::Millis;
use crate::sessions::calls::Call;
use crate::sessions::frames::{CancelReason, JobFrame, LeaseRef, Resume, SLOTS_MAX, ServerFrame};
use crate::sessions::worker_side::{PONG, write_call, write_ready};
use crate::workers::remote::backoff::{WAIT_FIRST, WAIT_MAX, WAIT_WITH_JOBS_MAX};
use crate::workers::remote::news::{News, Teller};
use crate::workers::remote::posting::{Posting, Status};

/// Words are joined into messages of about this size, in bytes.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// What the worker shall do. Later ones include the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Order {
    /// Take jobs.
    #[default]
    Work,
    /// Take no more, and go when what runs has ended.
    Drain,
    /// Tell what runs to stop, give it back, and go.
    Stop,
}

/// How the worker stands, for those who wait for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Standing {
    pub order: Order,
    /// Jobs that run, or whose last words are not certainly heard.
    pub jobs: usize,
    /// Jobs that run.
    pub running: usize,
}

/// What the line shall send next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Text(String),
    /// A ping of the protocol with this number; its answer says how far the server has read.
    Ping(u64),
    /// There is nothing more to do.
    Close,
}

/// Everything that a remote worker knows.
pub(crate) struct Board {
    state: Mutex<State>,
    wake: Notify,
    standing: watch::Sender<Standing>,
    starts: mpsc::Sender<Starting>,
    pub teller: Teller,
    concurrency: usize,
    grace: Millis,
}

/// A job for which a program is to be started.
pub(crate) struct Starting {
    pub frame: JobFrame,
    pub lease: LeaseRef,
    /// The run of the server that granted it.
    pub epoch: Epoch,
    pub news: Arc<Notify>,
    pub status: watch::Receiver<Status>,
}

#[derive(Default)]
struct State {
    postings: BTreeMap<JobId, Posting>,
    /// The children that were submitted and not answered: by the number that stands for their `ref` on the line.
    children: BTreeMap<u64, (JobId, Option<Arc<str>>)>,
    children_ever: u64,
    order: Order,
    /// Slots that wait because a program could not be started.
    paused: usize,
    session: Option<(SessionId, Epoch)>,
    /// How long the server keeps a lease without a word.
    lease: Millis,
    line: Line,
}

/// The connection, if there is one.
#[derive(Default)]
struct Line {
    is_up: bool,
    /// Everything that the server had to say about former leases was heard.
    is_settled: bool,
    pong_due: bool,
    /// It is time for a ping, although nothing is urgent.
    ping_due: bool,
    pings: u64,
    answered: u64,
    told_slots: Option<usize>,
    is_closed: bool,
}

impl Board {
    pub fn new(concurrency: usize, grace: Millis, teller: Teller) -> (Arc<Board>, mpsc::Receiver<Starting>) {
        let (starts, starting) = mpsc::channel(SLOTS_MAX as usize);
        let (state, standing) = (Mutex::default(), watch::Sender::default());
        (Arc::new(Board { state, wake: Notify::new(), standing, starts, teller, concurrency, grace }), starting)
    }

    /// How it stands, from now on.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Waits until there may be something to send.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// The session that the worker had, with all that it still holds.
    pub fn resume(&self) -> Option<Resume> {
        let state = self.state.lock();
        let leases = state.postings.values().filter(|posting| !posting.is_over).map(|posting| posting.lease.clone());
        state.session.map(|(session, _)| Resume { session, leases: leases.collect() })
    }

    /// The server has taken the worker.
    pub fn came_up(&self, session: SessionId, epoch: Epoch, lease: Millis) {
        let resumed = self.update(|state| {
            state.lease = lease;
            let before = state.session.replace((session, epoch));
            let holds_nothing = state.postings.values().all(|posting| posting.is_over);
            state.line = Line { is_up: true, is_settled: holds_nothing, ..Line::default() };
            before.is_some_and(|(before, _)| before == session)
        });
        self.teller.tell(News::Connected { session, epoch, resumed });
    }

    /// The connection is cut.
    pub fn went_down(&self) {
        self.update(|state| {
            state.line = Line::default();
            for posting in state.postings.values_mut() {
                for reference in posting.outbox.cut() {
                    let number = reference.parse::<u64>().ok();
                    let Some((_, own)) = number.and_then(|number| state.children.remove(&number)) else { continue };
                    posting.answer_doubtful(own);
                }
            }
        });
    }

    /// How long the worker may wait before it tries to reach the server again. With jobs it must be back within a grace
    /// that it does not know, and before a third of their leases is over.
    pub fn may_be_away(&self) -> Millis {
        let state = self.state.lock();
        let with_jobs = Millis((state.lease.0 / 3).clamp(WAIT_FIRST.0, WAIT_WITH_JOBS_MAX.0));
        if state.postings.is_empty() { WAIT_MAX } else { with_jobs }
    }

    /// The worker shall do more than it was told so far.
    pub fn order(&self, order: Order, reason: &'static str) {
        let (is_new, jobs) = self.update(|state| {
            let is_new = order > state.order;
            state.order = state.order.max(order);
            if is_new && order == Order::Stop {
                state.postings.values_mut().for_each(|posting| posting.stop(CancelReason::Shutdown, self.grace));
            }
            (is_new, state.postings.len())
        });
        match order {
            Order::Drain if is_new => self.teller.tell(News::Draining { reason, jobs }),
            Order::Stop if is_new => self.teller.tell(News::Stopping { reason, jobs }),
            Order::Work | Order::Drain | Order::Stop => {}
        }
    }

    /// What is to be sent next, if anything.
    pub fn next(&self) -> Option<Next> {
        let mut state = self.state.lock();
        let wanted = if state.order == Order::Work { self.concurrency.saturating_sub(state.paused) } else { 0 };
        let State { postings, line, order, .. } = &mut *state;
        let mut frames = Vec::new();
        if std::mem::take(&mut line.pong_due) {
            frames.push(PONG.to_owned());
        }
        if line.told_slots.replace(wanted) != Some(wanted) {
            frames.push(write_ready(wanted));
        }
        if line.is_settled {
            take_words(postings, line.pings + 2, &mut frames);
        }
        if !frames.is_empty() {
            return Some(Next::Text(joined(frames)));
        }
        if line.pings == line.answered && (line.needs_ping(postings) || !line.is_settled) {
            line.ping_due = false;
            line.pings += 1;
            return Some(Next::Ping(line.pings));
        }
        let is_done = *order != Order::Work && postings.is_empty();
        (is_done && !std::mem::replace(&mut line.is_closed, true)).then_some(Next::Close)
    }

    /// A ping was answered: the server has read all that was sent before it, and, because it reads on only when it has
    /// carried out what it read, carried out all that was sent before the ping before.
    pub fn heard_pong(&self, number: u64) {
        self.update(|state| {
            state.line.answered = number.min(state.line.pings);
            state.line.is_settled = true;
            for posting in state.postings.values_mut() {
                posting.outbox.answered(number);
            }
            state.postings.retain(|_, posting| posting.is_running || !posting.outbox.is_empty());
        });
    }

    /// It is time to find out what is certain.
    pub fn ping_is_due(&self) {
        self.update(|state| state.line.ping_due = true);
    }

    /// Takes in what the server said.
    pub fn hear(&self, frame: ServerFrame) {
        match frame {
            ServerFrame::Ping => self.update(|state| state.line.pong_due = true),
            ServerFrame::Job(frame) => self.admit(*frame),
            ServerFrame::Cancel { job_id, reason, grace_s } => self.update(|state| {
                if let Some(posting) = state.postings.get_mut(&job_id) {
                    posting.stop(reason, Millis((grace_s.max(0.0) * 1000.0) as u64));
                }
            }),
            ServerFrame::Lost { job_id } => self.lose(job_id, "the server has ended its lease"),
            ServerFrame::Quiet => self.order(Order::Drain, "the server asked for it"),
            ServerFrame::Terminate => self.order(Order::Stop, "the server asked for it"),
            ServerFrame::Submitted { ref reference, .. } => self.answer_child(reference.clone(), frame),
            ServerFrame::Error(ref error) if &*error.code == "lease_lost" && error.job_id.is_some() => {
                error.job_id.into_iter().for_each(|job| self.lose(job, &error.detail));
            }
            ServerFrame::Error(ref error) if error.reference.is_some() => {
                self.answer_child(error.reference.clone(), frame);
            }
            ServerFrame::Error(ref error) => match error.job_id {
                Some(job) => self.update(|state| {
                    if let Some(posting) = state.postings.get_mut(&job) {
                        posting.tell(frame);
                    }
                }),
                None => tracing::warn!(code = &*error.code, "the server refused a frame: {}", error.detail),
            },
            ServerFrame::Welcome { .. } => {}
        }
    }

    /// The lease of a job is gone: its program is killed, and what it said is thrown away.
    pub fn lose(&self, job: JobId, why: &str) {
        let lost = self.update(|state| {
            let posting = state.postings.get_mut(&job).filter(|posting| !posting.is_over)?;
            let (was_running, was_told) = (posting.is_running, posting.stopped.is_some());
            posting.lose();
            state.children.retain(|_, (parent, _)| *parent != job);
            if !was_running {
                state.postings.remove(&job);
            }
            Some((was_running, was_told))
        });
        match lost {
            Some((true, _)) => {
                tracing::warn!(%job, "the lease of a job is lost ({why}): its program is ended, its result thrown away");
            }
            Some((false, false)) => {
                tracing::warn!(%job, "whether the end of a job was recorded is not known ({why}): look at the job");
            }
            // Its end was asked for, and is known to the server.
            Some((false, true)) | None => {}
        }
    }

    /// Takes what a run said.
    pub fn say(&self, job: JobId, calls: Vec<Call>) {
        self.update(|state| {
            let is_cut = !state.line.is_up;
            let Some(posting) = state.postings.get_mut(&job).filter(|posting| !posting.is_over) else { return };
            for call in calls {
                let call = match call {
                    Call::Submit { reference, request } => {
                        state.children_ever += 1;
                        state.children.insert(state.children_ever, (job, reference));
                        Call::Submit { reference: Some(state.children_ever.to_string().into()), request }
                    }
                    call => call,
                };
                posting.outbox.push(call, is_cut);
            }
        });
    }

    /// Ends a run with its last word. A program that could not be started costs a slot, until [`Board::unpause`].
    pub fn end(&self, job: JobId, call: Call, was_started: bool) {
        self.update(|state| state.paused += usize::from(!was_started));
        self.say(job, vec![call]);
    }

    /// A slot may try again to start a program.
    pub fn unpause(&self) {
        self.update(|state| state.paused = state.paused.saturating_sub(1));
    }

    /// Nothing of a run goes on.
    pub fn let_go(&self, job: JobId) {
        let next = self.update(|state| {
            let posting = state.postings.get_mut(&job)?;
            posting.is_running = false;
            let next = posting.next.take();
            if next.is_some() || posting.is_over || posting.outbox.is_empty() {
                state.postings.remove(&job);
            }
            next
        });
        next.into_iter().for_each(|frame| self.admit(*frame));
    }

    /// Why a job was told to stop, if it was.
    pub fn stop_reason(&self, job: JobId) -> Option<CancelReason> {
        self.state.lock().postings.get(&job).and_then(|posting| posting.stopped)
    }

    /// What a run has to be told.
    pub fn notices(&self, job: JobId) -> Vec<ServerFrame> {
        let mut state = self.state.lock();
        state.postings.get_mut(&job).map(|posting| std::mem::take(&mut posting.notices)).unwrap_or_default()
    }

    fn admit(&self, frame: JobFrame) {
        let Some(job_id) = id_of(&frame) else {
            // It cannot even be failed: the connection is given up by its reader before it comes to this.
            return tracing::warn!("the server sent a job without an id");
        };
        let lease = LeaseRef { job_id, token: LeaseToken::new(frame.lease.token.clone()) };
        self.update(|state| {
            if let Some(posting) = state.postings.get_mut(&job_id).filter(|posting| posting.is_running) {
                // An earlier run of the same job is still there: no other starts before its group is dead.
                posting.lose();
                posting.next = Some(Box::new(frame));
                return;
            }
            let (mut posting, status) = Posting::new(lease.clone());
            let news = posting.news.clone();
            let epoch = state.session.map_or(Epoch(uuid::Uuid::nil()), |(_, epoch)| epoch);
            let starting = Starting { frame, lease, epoch, news, status };
            if state.order != Order::Work || self.starts.try_send(starting).is_err() {
                posting.is_running = false;
                posting.outbox.push(Call::Release, false);
            }
            state.postings.insert(job_id, posting);
        });
    }

    fn answer_child(&self, reference: Option<Arc<str>>, frame: ServerFrame) {
        self.update(|state| {
            let number = reference.as_deref().and_then(|text| text.parse::<u64>().ok());
            let Some((job, own)) = number.and_then(|number| state.children.remove(&number)) else { return };
            let Some(posting) = state.postings.get_mut(&job) else { return };
            posting.outbox.submitted(reference.as_deref().unwrap_or_default());
            posting.tell(match frame {
                ServerFrame::Submitted { id, .. } => ServerFrame::Submitted { reference: own, id },
                ServerFrame::Error(error) => {
                    ServerFrame::Error(crate::sessions::frames::ErrorFrame { reference: own, ..error })
                }
                other => other,
            });
        });
    }

    fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let changed = change(&mut state);
        let is_cut = !state.line.is_up;
        state.postings.values_mut().for_each(|posting| posting.publish(is_cut));
        let running = state.postings.values().filter(|posting| posting.is_running).count();
        let standing = Standing { order: state.order, jobs: state.postings.len(), running };
        drop(state);
        self.standing.send_if_modified(|before| std::mem::replace(before, standing) != standing);
        self.wake.notify_one();
        changed
    }
}

impl Line {
    /// Whether somebody waits to know what is certain: a run that has ended, or a program that has no room.
    fn needs_ping(&self, postings: &BTreeMap<JobId, Posting>) -> bool {
        let waits = |posting: &Posting| !posting.is_running || !posting.outbox.has_room(false);
        let mut uncertain = postings.values().filter(|posting| !posting.outbox.is_empty());
        if self.ping_due { uncertain.next().is_some() } else { uncertain.any(waits) }
    }
}

/// Takes words of all jobs until a message is full.
fn take_words(postings: &mut BTreeMap<JobId, Posting>, certain_by: u64, frames: &mut Vec<String>) {
    let mut bytes = 0;
    for posting in postings.values_mut().filter(|posting| !posting.is_over) {
        while bytes < MESSAGE_BYTES_MAX
            && let Some(call) = posting.outbox.next(certain_by)
        {
            let texts = write_call(&posting.lease, &call);
            bytes += texts.iter().map(String::len).sum::<usize>();
            frames.extend(texts);
        }
    }
}

fn joined(mut frames: Vec<String>) -> String {
    if frames.len() == 1 { frames.remove(0) } else { format!("[{}]", frames.join(",")) }
}

fn id_of(frame: &JobFrame) -> Option<JobId> {
    #[derive(serde::Deserialize)]
    struct WithId {
        id: JobId,
    }
    serde_json::from_str::<WithId>(frame.job.as_str()).ok().map(|job| job.id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::json::Json;
    use crate::sessions::frames::HandedLease;
    use crate::workers::remote::news;

    use super::*;

    const JOB: &str = "01900000-0000-7000-8000-000000000001";

    struct World {
        board: Arc<Board>,
        starting: mpsc::Receiver<Starting>,
        heard: std::sync::mpsc::Receiver<News>,
    }

    fn world(concurrency: usize) -> World {
        let (teller, heard) = news::channel();
        let (board, starting) = Board::new(concurrency, Millis(1000), teller);
        World { board, starting, heard }
    }

    fn job() -> JobId {
        JOB.parse().expect("an id")
    }

    fn handed(token: &str) -> ServerFrame {
        let lease = HandedLease { token: token.into(), expires_in_s: 30.0 };
        let job = Json::of(&json!({"id": JOB, "kind": "work", "args": {}}));
        ServerFrame::Job(Box::new(JobFrame { job, attempt: 1, items: Vec::new(), lease, checkpoint: None }))
    }

    impl World {
        fn connect(&self) {
            self.board.came_up(SessionId(uuid::Uuid::from_u128(1)), Epoch(uuid::Uuid::from_u128(2)), Millis(30_000));
        }

        /// The types of the frames that are sent until there is nothing more, with the pings between them.
        fn sent(&self) -> Vec<String> {
            let mut sent = Vec::new();
            while let Some(next) = self.board.next() {
                match next {
                    Next::Ping(number) => sent.push(format!("ping {number}")),
                    Next::Close => sent.push("close".to_owned()),
                    Next::Text(text) => {
                        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                        let frames = value.as_array().cloned().unwrap_or_else(|| vec![value]);
                        let name = |frame: &serde_json::Value| frame["type"].as_str().expect("a type").to_owned();
                        sent.extend(frames.iter().map(name));
                    }
                }
            }
            sent
        }
    }

    #[test]
    fn with_jobs_in_hand_it_is_tried_often_to_come_back() {
        let world = world(1);
        world.connect();
        assert_eq!(world.board.may_be_away(), WAIT_MAX);
        world.board.hear(handed("t"));
        assert_eq!(world.board.may_be_away(), WAIT_WITH_JOBS_MAX);
        world.board.came_up(SessionId(uuid::Uuid::from_u128(1)), Epoch(uuid::Uuid::from_u128(2)), Millis(3_000));
        assert_eq!(world.board.may_be_away(), Millis(1_000), "short leases end sooner");
    }

    #[test]
    fn an_end_is_certain_when_two_pings_after_it_were_answered() {
        let mut world = world(1);
        world.connect();
        world.board.hear(handed("t"));
        assert_eq!((world.sent(), world.starting.try_recv().is_ok()), (vec!["ready".to_owned()], true));
        world.board.end(job(), Call::Complete(None), true);
        world.board.let_go(job());
        assert_eq!(world.sent(), ["complete", "ping 1"]);
        world.board.heard_pong(1);
        assert_eq!(world.board.resume().expect("a session").leases.len(), 1, "it was read, but was it carried out?");
        assert_eq!(world.sent(), ["ping 2"]);
        world.board.heard_pong(2);
        assert_eq!((world.board.resume().expect("a session").leases, world.sent()), (Vec::new(), Vec::new()));
    }

    #[test]
    fn after_a_cut_nothing_is_said_of_jobs_before_it_is_known_which_are_lost() {
        let mut world = world(1);
        world.connect();
        world.board.hear(handed("t"));
        let starting = world.starting.try_recv().expect("a start");
        world.board.went_down();
        world.board.say(job(), vec![Call::Checkpoint(Json::of(&json!(1)))]);
        world.connect();
        assert_eq!(world.sent(), ["ready", "ping 1"]);
        world.board.hear(ServerFrame::Lost { job_id: job() });
        world.board.heard_pong(1);
        assert_eq!(world.sent(), [] as [&str; 0]);
        assert!(starting.status.borrow().is_over);
        assert!(matches!(world.board.notices(job())[..], [ServerFrame::Lost { .. }]));
        world.board.let_go(job());
        assert_eq!(world.board.standing().borrow().jobs, 0);
    }

    #[test]
    fn the_refs_of_different_programs_are_kept_apart_and_answered_as_their_own() {
        let world = world(1);
        world.connect();
        world.board.hear(handed("t"));
        let request = Json::of(&json!({"kind": "page", "args": {}}));
        world.board.say(job(), vec![Call::Submit { reference: Some("mine".into()), request: request.clone() }]);
        world.board.say(job(), vec![Call::Submit { reference: None, request }]);
        assert_eq!(world.sent(), ["ready", "submit", "submit"]);
        world.board.hear(ServerFrame::Submitted { reference: Some("1".into()), id: job() });
        let own = ServerFrame::Submitted { reference: Some("mine".into()), id: job() };
        assert_eq!(world.board.notices(job()), [own]);
        world.board.went_down();
        let notices = world.board.notices(job());
        assert!(
            matches!(&notices[..], [ServerFrame::Error(error)] if &*error.code == "connection_lost"),
            "{notices:?}"
        );
    }

    #[test]
    fn the_same_job_again_waits_until_its_earlier_run_is_dead() {
        let mut world = world(2);
        world.connect();
        world.board.hear(handed("first"));
        assert!(world.starting.try_recv().is_ok());
        world.board.hear(handed("second"));
        assert!(world.starting.try_recv().is_err());
        assert!(matches!(world.board.notices(job())[..], [ServerFrame::Lost { .. }]));
        world.board.let_go(job());
        let again = world.starting.try_recv().expect("a start");
        assert_eq!(again.lease.token.reveal(), "second");
    }

    #[test]
    fn a_worker_that_drains_takes_nothing_more_and_closes_when_all_is_told() {
        let world = world(3);
        world.connect();
        assert_eq!(world.sent(), ["ready"]);
        world.board.order(Order::Drain, "a test");
        world.board.hear(handed("t"));
        assert_eq!(world.sent(), ["ready", "release", "ping 1"]);
        world.board.heard_pong(1);
        assert_eq!(world.sent(), ["ping 2"]);
        world.board.heard_pong(2);
        assert_eq!(world.sent(), ["close"]);
        let draining = News::Draining { reason: "a test", jobs: 0 };
        assert_eq!(world.heard.try_iter().last(), Some(draining));
    }
}

//! Live subscriptions over the real engine, without a socket.

mod lines;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::clock::SystemClock;
use crate::domain::id::{JobId, Seq};
use crate::domain::state::EpochSpan;
use crate::domain::time::Timestamp;
use crate::feed::Page;
use crate::live::board::{BOOKMARK_AFTER, Board, Following, Member};
use crate::live::frames::{ClientFrame, Mistake, parse};
use crate::live::outbox::{OUTBOX_BYTES_MAX, Outbox, Taken};
use crate::live::position::Epochs;
use crate::live::subscriber::{Subscriber, TooMany};
use crate::live::tests::lines::Lines;
use crate::live::topic::Selection;
use crate::live::{CONNECTIONS_MAX, Live, Parts, SUBSCRIPTIONS_MAX, Settings};
use crate::sessions::testing::{EPOCH, PATIENCE, World};

fn live(world: &World) -> Arc<Live> {
    live_with(world, Settings::default())
}

fn live_with(world: &World, settings: Settings) -> Arc<Live> {
    live_over(world, Arc::new(Lines::default()), settings)
}

fn live_over(world: &World, logs: Arc<Lines>, settings: Settings) -> Arc<Live> {
    let past: [EpochSpan; 0] = [];
    Live::start(Parts {
        engine: world.handle.clone(),
        logs,
        clock: Arc::new(SystemClock),
        epochs: Epochs::new(&past, Seq::ZERO, EPOCH),
        started_at: Timestamp::from_ms(1_000),
        version: "0.0.0",
        wire: write_line,
        settings,
    })
}

/// A frame a line.
fn write_line(frame: &[u8], line: &mut Vec<u8>) {
    line.extend_from_slice(frame);
    line.push(b'\n');
}

fn cut(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let lines =
        pieces.iter().flat_map(|piece| piece.split_inclusive(|byte| *byte == b'\n').map(|line| piece.slice_ref(line)));
    lines.collect()
}

/// A subscriber and the frames that it was sent and has not looked at.
struct Client {
    subscriber: Subscriber,
    frames: Vec<Bytes>,
}

impl Client {
    fn connect(live: &Arc<Live>) -> Client {
        Client { subscriber: Subscriber::new(live).expect("there is room"), frames: Vec::new() }
    }

    fn say(&mut self, frame: Value) -> Option<Value> {
        let frame = parse(&frame.to_string()).unwrap_or_else(|mistake| panic!("{frame}: {mistake:?}"));
        let answer = self.subscriber.take(frame).expect("there is room");
        answer.map(|bytes| serde_json::from_slice(&bytes).expect("JSON"))
    }

    fn subscribe(&mut self, topic: &str, filter: Value, since: Option<u64>) {
        let since = since.map(|seq| json!({"epoch": EPOCH, "seq": seq}));
        self.say(json!({"type": "subscribe", "id": "a", "topic": topic, "filter": filter, "since": since}));
    }

    /// The bytes of the next frame.
    async fn bytes(&mut self) -> Bytes {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.frames.is_empty() {
                self.subscriber.stirred().await;
                self.frames = cut(self.subscriber.burst().await.expect("it can be read"));
            }
        });
        waited.await.expect("something is sent");
        self.frames.remove(0)
    }

    /// Sends what is to be sent before it is told with the others.
    async fn settle(&mut self) {
        while self.subscriber.stirred().now_or_never().is_some() {
            let pieces = self.subscriber.burst().await.expect("it can be read");
            self.frames.extend(cut(pieces));
        }
    }

    async fn next(&mut self) -> Value {
        serde_json::from_slice(&self.bytes().await).expect("JSON")
    }

    #[track_caller]
    fn checked(frame: Value, frame_type: &str) -> Value {
        assert_eq!(frame["type"], frame_type, "{frame}");
        frame
    }

    async fn hear(&mut self, frame_type: &str) -> Value {
        Client::checked(self.next().await, frame_type)
    }
}

async fn submit(world: &World, kind: &str) -> JobId {
    world.submit(json!({"kind": kind, "args": {}}), |_| ()).await
}

fn ids(rows: &Value) -> Vec<String> {
    rows.as_array().expect("rows").iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_snapshot_has_the_newest_first_and_changes_follow_without_a_hole() {
    let world = World::start().await;
    let live = live(&world);
    let (one, two) = (submit(&world, "k").await, submit(&world, "k").await);
    let mut client = Client::connect(&live);
    client.subscribe("jobs", json!({"kind": "k"}), None);
    let subscribed = client.hear("subscribed").await;
    assert_eq!((&subscribed["mode"], &subscribed["recovered"]), (&json!("snapshot"), &json!(false)));
    let snapshot = client.hear("snapshot").await;
    assert_eq!((ids(&snapshot["jobs"]), &snapshot["more"]), (vec![two.to_string(), one.to_string()], &json!(false)));
    let three = submit(&world, "k").await;
    let mut prev = snapshot["seq"].clone();
    loop {
        let frame = client.next().await;
        assert_eq!(frame["prev"], prev, "{frame}");
        prev = frame["seq"].clone();
        if frame["type"] == "changes" {
            assert_eq!((ids(&frame["jobs"]), &frame["left"]), (vec![three.to_string()], &json!([])));
            break;
        }
    }
}

#[tokio::test]
async fn what_no_longer_matches_has_left_and_what_never_did_is_not_told() {
    let world = World::start().await;
    let live = live(&world);
    let mut client = Client::connect(&live);
    client.subscribe("jobs", json!({"state": "queued", "kind": "k"}), None);
    client.hear("subscribed").await;
    client.hear("snapshot").await;
    client.settle().await;
    submit(&world, "other").await;
    let job = submit(&world, "k").await;
    let came = client.hear("changes").await;
    assert_eq!(ids(&came["jobs"]), [job.to_string()]);
    world.cancel(job).await;
    let left = client.hear("changes").await;
    assert_eq!((&left["jobs"], &left["left"]), (&json!([]), &json!([job])));
    assert_eq!(left["prev"], came["seq"]);
}

#[tokio::test]
async fn all_of_a_filter_are_sent_the_very_same_bytes() {
    let world = World::start().await;
    let live = live(&world);
    let mut clients = [Client::connect(&live), Client::connect(&live)];
    for client in &mut clients {
        client.subscribe("events", json!({"kind": "k"}), None);
        client.hear("subscribed").await;
    }
    submit(&world, "k").await;
    submit(&world, "k").await;
    for round in 0..2 {
        let [one, other] = &mut clients;
        let (one, other) = (one.bytes().await, other.bytes().await);
        assert_eq!(one, other);
        assert!(round == 0 || one.as_ptr() == other.as_ptr(), "one allocation for all that stand at the same place");
    }
}

#[tokio::test]
async fn a_filter_that_matches_nothing_costs_nothing() {
    let world = World::start().await;
    let live = live(&world);
    let mut client = Client::connect(&live);
    client.subscribe("events", json!({"queue": "elsewhere"}), None);
    client.hear("subscribed").await;
    let mut other = Client::connect(&live);
    other.subscribe("events", json!({}), None);
    other.hear("subscribed").await;
    let job = world.job(submit(&world, "k").await);
    other.hear("events").await;
    assert!(live.board.lock().concerned(None, &job).len() == 1, "its group is not even looked at");
    assert!(client.subscriber.burst().await.expect("reads").is_empty());
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_so_and_misses_nothing() {
    let world = World::start().await;
    let live = live(&world);
    let (mut slow, mut quick) = (Client::connect(&live), Client::connect(&live));
    for client in [&mut slow, &mut quick] {
        client.subscribe("events", json!({}), None);
        client.hear("subscribed").await;
    }
    let text = "x".repeat(64 * 1024);
    let count = 2 * OUTBOX_BYTES_MAX / text.len();
    for _ in 0..count {
        world.submit(json!({"kind": "k", "args": {"text": text}}), |_| ()).await;
        quick.hear("events").await;
    }
    let mut prev = None;
    let (mut seqs, mut types) = (Vec::new(), Vec::new());
    while seqs.len() < count || types.last() != Some(&"caught_up".to_owned()) {
        let frame = slow.next().await;
        types.push(frame["type"].as_str().expect("a type").to_owned());
        match frame["type"].as_str() {
            Some("events") => {
                assert!(prev.is_none_or(|prev: Value| frame["prev"] == prev), "{}", frame["prev"]);
                let events = frame["events"].as_array().expect("events");
                seqs.extend(events.iter().map(|event| event["seq"].as_u64().expect("a number")));
            }
            Some("fell_behind") => assert!(prev.is_none_or(|prev| frame["seq"] == prev)),
            Some("caught_up") => {}
            other => panic!("{other:?}"),
        }
        prev = Some(frame["seq"].clone());
    }
    assert!(types.contains(&"fell_behind".to_owned()));
    let first = seqs[0];
    assert_eq!(seqs, (first..first + count as u64).collect::<Vec<u64>>(), "each once, in order");
    world.submit(json!({"kind": "k", "args": {}}), |_| ()).await;
    assert_eq!(slow.hear("events").await["prev"], prev.expect("it was told"));
}

#[tokio::test]
async fn a_resume_gives_exactly_what_was_missed() {
    let world = World::start().await;
    let live = live(&world);
    let seq = world.handle.views().position().0;
    let jobs = [submit(&world, "k").await, submit(&world, "k").await];
    world.cancel(jobs[0]).await;
    let mut events = Client::connect(&live);
    events.subscribe("events", json!({}), Some(seq));
    let subscribed = events.hear("subscribed").await;
    assert_eq!((&subscribed["mode"], &subscribed["recovered"]), (&json!("resume"), &json!(true)));
    let missed = events.hear("events").await;
    let types: Vec<&Value> = missed["events"].as_array().expect("a list").iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["job.submitted", "job.submitted", "job.cancelled"]);
    assert_eq!(missed["prev"], seq);
    assert_eq!(events.hear("caught_up").await["seq"], missed["seq"]);
    let mut mirror = Client::connect(&live);
    mirror.subscribe("jobs", json!({"state": "queued"}), Some(seq));
    mirror.hear("subscribed").await;
    let changes = mirror.hear("changes").await;
    assert_eq!((ids(&changes["jobs"]), &changes["left"]), (vec![jobs[1].to_string()], &json!([jobs[0]])));
    mirror.hear("caught_up").await;
}

#[tokio::test]
async fn whoever_cannot_go_on_is_told_why_and_begins_anew() {
    let world = World::start().await;
    let live = live_with(&world, Settings { jobs_behind_max: 1, ..Settings::default() });
    for _ in 0..3 {
        submit(&world, "k").await;
    }
    let head = world.handle.views().position().0;
    let foreign = json!({"epoch": "01990000-0000-7000-8000-0000000000ff", "seq": 1});
    for (since, reason) in [
        (foreign, "unknown_epoch"),
        (json!({"epoch": EPOCH, "seq": head + 9}), "ahead"),
        (json!({"epoch": EPOCH, "seq": 1}), "too_far"),
    ] {
        let mut client = Client::connect(&live);
        client.say(json!({"type": "subscribe", "id": "a", "topic": "jobs", "since": since}));
        let subscribed = client.hear("subscribed").await;
        assert_eq!((&subscribed["mode"], &subscribed["recovered"]), (&json!("snapshot"), &json!(false)));
        assert_eq!(client.hear("reset").await["reason"], reason);
        assert_eq!(client.hear("snapshot").await["jobs"].as_array().map(Vec::len), Some(3));
    }
}

#[tokio::test]
async fn a_snapshot_is_held_to_its_limit_and_comes_in_pages() {
    let world = World::start().await;
    let live = live(&world);
    futures::future::join_all((0..600).map(|_| submit(&world, "k"))).await;
    let mut client = Client::connect(&live);
    client.subscribe("jobs", json!({"limit": 501}), None);
    client.hear("subscribed").await;
    let (mut rows, mut more) = (0, true);
    while more {
        let page = client.hear("snapshot").await;
        rows += page["jobs"].as_array().map_or(0, Vec::len);
        more = page["more"] == true;
    }
    assert_eq!(rows, 501);
}

#[tokio::test]
async fn queues_are_a_snapshot_and_then_what_differs() {
    let world = World::start().await;
    let live = live(&world);
    submit(&world, "k").await;
    let mut client = Client::connect(&live);
    client.subscribe("queues", json!({}), None);
    client.hear("subscribed").await;
    let snapshot = client.hear("snapshot").await;
    assert_eq!(snapshot["queues"][0]["depth"]["queued"], 1);
    submit(&world, "k").await;
    let changes = client.hear("changes").await;
    assert_eq!((&changes["queues"][0]["depth"]["queued"], &changes["left"]), (&json!(2), &json!([])));
    assert_eq!(changes["prev"], snapshot["seq"]);
}

#[tokio::test]
async fn another_filter_takes_the_place_of_the_first_and_an_end_is_an_end() {
    let world = World::start().await;
    let live = live(&world);
    let mut client = Client::connect(&live);
    client.subscribe("jobs", json!({"kind": "k"}), None);
    client.hear("subscribed").await;
    client.hear("snapshot").await;
    let job = submit(&world, "other").await;
    client.say(json!({"type": "update", "id": "a", "filter": {"kind": "other"}}));
    assert_eq!(client.hear("subscribed").await["mode"], "snapshot");
    assert_eq!(ids(&client.hear("snapshot").await["jobs"]), [job.to_string()]);
    assert_eq!(client.say(json!({"type": "unsubscribe", "id": "a"})), None);
    let error = client.say(json!({"type": "unsubscribe", "id": "a"})).expect("an error");
    assert_eq!((&error["code"], &error["id"]), (&json!("unknown_subscription"), &json!("a")));
    assert!(live.board.lock().is_empty());
}

#[tokio::test]
async fn a_connection_has_so_many_subscriptions_and_leaves_nothing_behind() {
    let world = World::start().await;
    let live = live(&world);
    let mut client = Client::connect(&live);
    let session = client.subscriber.session();
    assert!(live.knows(session));
    let subscribe = |number: usize| match parse(&format!(r#"{{"type":"subscribe","id":"{number}","topic":"events"}}"#))
    {
        Ok(frame @ ClientFrame::Subscribe { .. }) => frame,
        Ok(_) | Err(Mistake::NotJson | Mistake::Told(_)) => panic!("it fits"),
    };
    (0..SUBSCRIPTIONS_MAX).for_each(|number| assert_eq!(client.subscriber.take(subscribe(number)), Ok(None)));
    assert_eq!(client.subscriber.take(subscribe(0)), Ok(None), "the same name is no more");
    assert_eq!(client.subscriber.take(subscribe(SUBSCRIPTIONS_MAX)), Err(TooMany));
    for _ in 0..SUBSCRIPTIONS_MAX {
        client.hear("subscribed").await;
    }
    drop(client);
    assert!(live.board.lock().is_empty() && !live.knows(session));
}

fn frames(outbox: &Outbox) -> Vec<Value> {
    match outbox.take(usize::MAX) {
        Taken::Frames(waiting) => {
            let frames = cut(waiting.into_iter().map(|piece| piece.bytes).collect());
            frames.iter().map(|frame| serde_json::from_slice(frame).expect("JSON")).collect()
        }
        Taken::Overflowed => panic!("it has room"),
    }
}

#[tokio::test]
async fn a_bookmark_moves_a_position_after_five_silent_seconds_and_only_then() {
    let mut board = Board::new(Seq(5), write_line);
    let outbox = Arc::new(Outbox::default());
    let member = Member { number: 1, id: "a".into(), outbox: outbox.clone() };
    assert_eq!(board.join(Following::Events(Selection::default()), member), Seq(5));
    let now = Instant::now();
    board.tell_bookmarks(now + 2 * BOOKMARK_AFTER);
    assert!(frames(&outbox).is_empty(), "the position has not moved");
    board.seq = Seq(9);
    board.tell_bookmarks(now + BOOKMARK_AFTER - Duration::from_millis(1));
    assert!(frames(&outbox).is_empty());
    let later = now + BOOKMARK_AFTER + Duration::from_secs(1);
    board.tell_bookmarks(later);
    assert_eq!(frames(&outbox), [json!({"type": "bookmark", "id": "a", "prev": 5, "seq": 9})]);
    board.tell_bookmarks(later + 2 * BOOKMARK_AFTER);
    assert!(frames(&outbox).is_empty());
}

/// The next page whose events are later than a seq: the one before it may be published after it was answered for.
async fn page_after(pages: &mut broadcast::Receiver<Arc<Page>>, seq: Seq) -> Arc<Page> {
    loop {
        let page = pages.recv().await.expect("a page");
        if page.records[0].seq > seq {
            return page;
        }
    }
}

#[tokio::test]
async fn a_hole_between_two_pages_sends_everybody_back_to_the_log() {
    let world = World::start().await;
    let mut pages = world.handle.feed().subscribe();
    let before = world.handle.views().position();
    submit(&world, "k").await;
    submit(&world, "k").await;
    let _missed = page_after(&mut pages, before).await;
    let page = page_after(&mut pages, before).await;
    let mut board = Board::new(before, write_line);
    let outbox = Arc::new(Outbox::default());
    let member = Member { number: 1, id: "a".into(), outbox: outbox.clone() };
    board.join(Following::Events(Selection::default()), member);
    board.publish(std::slice::from_ref(&page), world.handle.views(), Instant::now());
    assert!(matches!(outbox.take(1), Taken::Overflowed) && board.is_empty());
    assert_eq!(board.seq(), page.records.last().expect("a record").seq);
    board.publish(std::slice::from_ref(&page), world.handle.views(), Instant::now());
    assert_eq!(board.seq(), page.records.last().expect("a record").seq, "a page is told once");
}

#[tokio::test]
async fn everybody_hears_the_page_that_follows_the_one_at_which_he_joined() {
    let world = World::start().await;
    let mut pages = world.handle.feed().subscribe();
    let before = world.handle.views().position();
    let mut board = Board::new(before, write_line);
    let outboxes = [Arc::new(Outbox::default()), Arc::new(Outbox::default())];
    let member = |place: usize| Member { number: place as u64, id: "a".into(), outbox: outboxes[place].clone() };
    board.join(Following::Events(Selection::default()), member(0));
    submit(&world, "k").await;
    board.publish(&[page_after(&mut pages, before).await], world.handle.views(), Instant::now());
    let joined = board.join(Following::Events(Selection::default()), member(1));
    submit(&world, "k").await;
    board.publish(&[page_after(&mut pages, before).await], world.handle.views(), Instant::now());
    let prevs = |place: usize| frames(&outboxes[place]).iter().map(|it| it["prev"].clone()).collect::<Vec<Value>>();
    assert_eq!(prevs(0), [json!(before), json!(joined)]);
    assert_eq!(prevs(1), [json!(joined)]);
}

#[tokio::test]
async fn whoever_the_publisher_lost_is_fed_from_the_log_and_the_tables() {
    let world = World::start().await;
    let live = live(&world);
    let mut client = Client::connect(&live);
    client.subscribe("events", json!({}), None);
    client.say(json!({"type": "subscribe", "id": "q", "topic": "queues"}));
    client.hear("subscribed").await;
    client.hear("subscribed").await;
    client.hear("snapshot").await;
    client.settle().await;
    // As if pages had been missed.
    live.board.lock().seq = Seq::ZERO;
    let job = submit(&world, "k").await;
    let (mut seen, mut types) = (Vec::new(), Vec::new());
    while types.iter().filter(|it| **it == "caught_up").count() < 2 {
        let frame = client.next().await;
        let events = frame["events"].as_array().cloned().unwrap_or_default();
        seen.extend(events.iter().map(|event| event["job_id"].clone()));
        types.push(frame["type"].as_str().expect("a type").to_owned());
    }
    types.sort();
    assert_eq!(types, ["caught_up", "caught_up", "events", "fell_behind", "fell_behind", "snapshot"]);
    assert_eq!(seen, [json!(job)]);
}

#[tokio::test]
async fn there_are_so_many_connections_and_a_closed_one_makes_room() {
    let world = World::start().await;
    let live = live(&world);
    let mut all: Vec<Subscriber> =
        (0..CONNECTIONS_MAX).map(|_| Subscriber::new(&live).expect("there is room")).collect();
    assert!(Subscriber::new(&live).is_none());
    all.pop();
    assert!(Subscriber::new(&live).is_some());
}

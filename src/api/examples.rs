//! Examples for the description of the interface, by the name of the schema that they are an example of. One small story:
//! a picture is resized, then a batch of them.
//!
//! A test holds each against its schema. Must never be used to answer anything.

use serde_json::{Value, json};

const JOB: &str = "01997f5a-6e00-7000-8000-001523456789";
const BATCH: &str = "01997f5a-6e00-7000-8000-001923456789";
const SESSION: &str = "01997f5a-0000-7000-8000-000000000001";
const EPOCH: &str = "01997f59-0000-7000-8000-0000000000ee";

/// All of them.
pub fn all() -> Vec<(&'static str, Value)> {
    requests().into_iter().chain(answers()).chain(answers_about_the_server()).collect()
}

fn requests() -> Vec<(&'static str, Value)> {
    let resize = json!({"kind": "img.resize", "args": {"width": 640}, "tags": ["red"], "unique_key": "cat.png"});
    let bulk = json!({"jobs": [
        {"kind": "img.fetch", "args": {"url": "https://example.org/cat.png"}, "ref": "fetch"},
        {"kind": "img.resize", "args": {"width": 640}, "depends_on": ["#fetch"]}
    ]});
    let later = json!({"priority": 10, "scheduled_at": "2026-11-22T08:00:00+01:00"});
    let action = json!({"action": "retry", "filter": {"kind": "img.resize", "state": "failed"}, "dry_run": true});
    let job = json!({"kind": "img.resize", "args": {"width": 640}});
    let nightly = json!({"name": "nightly", "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "job": job});
    vec![
        ("JobRequest", resize),
        ("BulkRequest", bulk),
        ("AmendRequest", later),
        ("CancelRequest", json!({"children": true})),
        ("RetryRequest", json!({"only_failed_items": true})),
        ("ActionRequest", action),
        ("ScheduleRequest", nightly),
    ]
}

fn answers() -> Vec<(&'static str, Value)> {
    let (job, row) = (job(), row());
    let item = json!({"key": "a.png", "args": {"width": 640}, "state": "failed", "result": null, "error": error()});
    let line = json!({"n": 1, "at": "2026-11-22T06:00:01.250Z", "stream": "stderr", "text": "warming up"});
    let skipped = json!({"id": BATCH, "code": "job_not_retryable"});
    let action = json!({"dry_run": true, "matched": 2, "changed": [JOB], "skipped": [skipped], "more": false});
    let mut trail = list("events", event());
    trail["earliest"] = json!(1);
    let tree = json!({"root_id": JOB, "jobs": [row], "next_cursor": null, "seq": 42, "epoch": EPOCH});
    let lines = json!({"lines": [line], "next_after": 1, "seq": 42, "epoch": EPOCH});
    vec![
        ("BulkAnswer", json!({"jobs": [job]})),
        ("JobBody", job),
        ("JobRow", row.clone()),
        ("JobList", list("jobs", row)),
        ("ItemList", list("items", item)),
        ("EventList", trail),
        ("PublishedEvent", event()),
        ("Tree", tree),
        ("ActionAnswer", action),
        ("LogPage", lines),
        ("FileInfo", file()),
        ("Why", why()),
        ("JobError", error()),
    ]
}

fn answers_about_the_server() -> Vec<(&'static str, Value)> {
    let started_at = "2026-11-22T05:59:00.000Z";
    let health = json!({"status": "ok", "epoch": EPOCH, "started_at": started_at, "seq": 42, "version": "0.1.0"});
    vec![
        ("Health", health),
        ("SessionStatus", json!({"valid": true, "epoch": EPOCH, "kind": "worker"})),
        ("StatsBody", stats(started_at)),
        ("HistoryBody", history()),
        ("QueueRow", queue()),
        ("QueueList", list("queues", queue())),
        ("WorkerList", worker_list()),
        ("ScheduleRow", schedule()),
        ("ScheduleList", list("schedules", schedule())),
        ("KindBody", kind()),
        ("KindList", list("kinds", kind())),
    ]
}

fn worker_list() -> Value {
    let mut page = list("workers", worker());
    page["restarting"] = json!([]);
    page["beat_s"] = json!(10.0);
    page
}

fn list(name: &str, one: Value) -> Value {
    json!({(name): [one], "next_cursor": null, "seq": 42, "epoch": EPOCH})
}

fn job() -> Value {
    let mut job = row();
    job["args"] = json!({"width": 640});
    job["result"] = json!({"bytes": 123456});
    job
}

fn row() -> Value {
    json!({
        "id": JOB, "kind": "img.resize", "queue": "images", "state": "completed", "reason": null, "priority": 0,
        "tags": ["red"], "attempt": 1, "max_attempts": 2, "lost_count": 0, "max_lost": 5,
        "progress": {
            "percent": 100, "stage": "write", "message": "4 of 4", "done": 4, "total": 4,
            "preview": {"url": format!("/api/jobs/{JOB}/preview"), "type": "image/png"}
        },
        "files": [file()], "items": null, "error": null, "parent_id": null, "root_id": JOB, "depends_on": [],
        "unique_key": "cat.png", "worker": {"session": SESSION, "name": "gpu-1"}, "cancel_requested_at": null,
        "created_at": "2026-11-22T06:00:00.000Z", "scheduled_at": null, "queued_at": "2026-11-22T06:00:00.000Z",
        "started_at": "2026-11-22T06:00:00.004Z", "finished_at": "2026-11-22T06:00:02.500Z",
        "updated_at": "2026-11-22T06:00:02.500Z", "purged_at": null, "timeout_s": 600, "seq": 42
    })
}

fn file() -> Value {
    json!({"name": "cat-640.png", "type": "image/png", "size": 123456})
}

fn error() -> Value {
    json!({
        "code": "exit_status", "message": "it ended with 3", "details": {"status": 3}, "retryable": true, "attempt": 1
    })
}

fn event() -> Value {
    json!({
        "seq": 41, "at": "2026-11-22T06:00:00.004Z", "type": "job.started", "job_id": JOB,
        "actor": {"type": "worker", "id": SESSION},
        "data": {"attempt": 1, "session": SESSION, "worker": "gpu-1", "place": "subprocess", "timeout_at": null}
    })
}

fn why() -> Value {
    json!({
        "sentence": "It waits in the queue images: 3 jobs are before it, and 1 worker takes its kind.",
        "facts": {
            "state": "queued", "reason": null, "kind": "img.resize", "queue": "images", "attempt": 0, "max_attempts": 2,
            "lost_count": 0, "max_lost": 5, "timeout_s": 600, "scheduled_at": null, "finished_at": null,
            "cancel_requested_at": null, "error": null, "worker": null, "waits_for": [], "ahead": 3,
            "queue_is_paused": false, "queue_paused": null, "queue_rate": null, "next_start_at": null, "workers": 1, "restarting": [],
            "running_of_kind": 1, "kind_concurrency": 2, "running_in_queue": 1,
            "queue_concurrency": null, "server_is_halted": false, "schedule": null
        }
    })
}

fn stats(started_at: &str) -> Value {
    let counts = json!({
        "scheduled": 0, "queued": 3, "blocked": 0, "running": 1, "retryable": 0, "completed": 120, "failed": 2,
        "cancelled": 0
    });
    let rate = json!({"per_second_1m": 0.5, "per_second_5m": 0.4});
    json!({
        "jobs": counts, "kinds": [{"kind": "img.resize", "jobs": counts}],
        "queues": [{"queue": "images", "jobs": counts}], "workers": 1,
        "rates": {"submitted": rate, "started": rate, "completed": rate, "failed": rate},
        "started_at": started_at, "seq": 42, "epoch": EPOCH
    })
}

fn history() -> Value {
    let bucket = json!({
        "from": "2026-11-22T06:00:00.000Z", "submitted": 31, "started": 30, "completed": 27, "failed": 1, "cancelled": 1,
        "attempts_failed": 2, "lost": 0, "wait_s": {"p50": 0.004, "p95": 0.21, "p99": 1.4},
        "run_s": {"p50": 2.5, "p95": 8.1, "p99": 12.3}
    });
    json!({
        "span": "1h", "width_s": 60, "buckets": [bucket], "complete": true, "earliest": 1, "seq": 42, "epoch": EPOCH
    })
}

fn queue() -> Value {
    json!({
        "name": "images", "depth": {"queued": 3, "scheduled": 0, "blocked": 0, "running": 1, "retryable": 0},
        "oldest_queued_at": "2026-11-22T06:00:00.000Z", "oldest_age_s": 2.5,
        "paused": {"at": "2026-11-22T06:00:01.000Z", "by": {"type": "client", "id": null}}, "draining": null,
        "concurrency": 4, "rate": "10/s", "next_start_at": null
    })
}

fn worker() -> Value {
    json!({
        "session": SESSION, "name": "gpu-1", "kinds": ["img.resize"], "queues": null, "place": "subprocess",
        "state": "run", "jobs": [JOB], "joined_at": "2026-11-22T05:59:01.000Z",
        "last_beat_at": "2026-11-22T06:00:02.000Z"
    })
}

fn schedule() -> Value {
    json!({
        "name": "nightly", "cron": "30 2 * * *", "time_zone": "Europe/Berlin",
        "job": {"kind": "img.resize", "args": {"width": 640}}, "missed": "once", "overlap": "queue", "origin": "api",
        "next_at": "2026-11-23T01:30:00.000Z", "last_fired_at": "2026-11-22T01:30:00.002Z",
        "last_due_at": "2026-11-22T01:30:00.000Z", "last_outcome": "submitted", "last_error": null, "last_job_id": JOB
    })
}

fn kind() -> Value {
    let width = json!({"type": "integer", "minimum": 1, "default": 640});
    json!({
        "name": "img.resize", "schema": {"type": "object", "properties": {"width": width}}, "defaults": {"width": 640},
        "settings": {
            "queue": "images", "max_attempts": 2, "max_lost": 5, "timeout_s": 600, "backoff_s": 5,
            "backoff_max_s": 3600, "grace_s": 10, "concurrency": 2
        },
        "run": {"mode": "command", "processes": 2}
    })
}

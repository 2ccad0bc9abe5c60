//! Whole command lines against a server that answers what it is told to: what is asked, what is printed where, and the
//! exit code.

use crate::cli::testing::{Reply, Server, json, run_at};

const ID: &str = "01890000-0000-7000-8000-000000000001";
const OTHER: &str = "01890000-0000-7000-8000-000000000002";

fn job(state: &str, more: &str) -> Reply {
    json(200, &format!(r#"{{"id":"{ID}","kind":"comics","state":"{state}","queue":"default"{more}}}"#))
}

#[test]
fn submit_sends_what_was_typed_and_prints_the_id() {
    let server = Server::answering([json(201, &format!(r#"{{"id":"{ID}","state":"queued"}}"#))]);
    let line = "submit comics --args folder=/x select=all --queue q --priority -5 --delay 1.5 --tag a --tag b \
                --unique-key u --max-attempts 3 --timeout 2m --idempotency-key k1 --token secret";
    let (code, out, err, requests) = server.run_all(line);
    assert_eq!((code, out.as_str(), err.as_str()), (0, format!("{ID}\n").as_str(), "queued\n"));
    let body = r#"{"args":{"folder":"/x","select":"all"},"delay_s":1.5,"kind":"comics","max_attempts":3,"priority":-5,"queue":"q","tags":["a","b"],"timeout_s":120.0,"unique_key":"u"}"#;
    assert!(requests[0].starts_with("POST /api/jobs ") && requests[0].ends_with(body), "{requests:?}");
}

#[test]
fn submit_sends_the_idempotency_key_as_a_header_and_says_that_the_job_was_known() {
    let replayed = "Idempotency-Replayed: true\r\nDaybook-Epoch: e1\r\n";
    let answer = Reply::Answer(200, replayed, format!(r#"{{"id":"{ID}","state":"running"}}"#));
    let (code, out, err, requests) = Server::answering([answer]).run_all("submit comics --idempotency-key k1");
    assert_eq!((code, out.trim(), err.trim()), (0, ID, "running, submitted before"));
    assert!(requests[0].to_lowercase().contains("[idempotency-key: k1]"), "{requests:?}");
}

#[test]
fn submit_with_wait_follows_the_job_and_prints_its_result() {
    let running = r#","attempt":1,"max_attempts":2,"progress":{"percent":40,"stage":"upscale"}"#;
    let done = r#","result":{"z":1,"a":[]},"created_at":"2026-11-22T05:00:00.000Z","finished_at":"2026-11-22T05:00:03.200Z","files":[{"name":"p.png","size":2048}]"#;
    let replies =
        [json(201, &format!(r#"{{"id":"{ID}","state":"queued"}}"#)), job("running", running), job("completed", done)];
    let (code, out, err, requests) = Server::answering(replies).run_all("submit comics --wait");
    assert_eq!((code, out.as_str()), (0, "{\n  \"z\": 1,\n  \"a\": []\n}\n"));
    for said in ["running: upscale", "completed after 3.2 s", "file p.png (2.0 KiB): http://127.0.0.1:"] {
        assert!(err.contains(said), "{said:?} in {err}");
    }
    assert_eq!(requests[1], format!("GET /api/jobs/{ID}?wait_s=0.5"));
}

#[test]
fn a_job_that_failed_or_was_cancelled_ends_the_wait_with_1() {
    let error = r#","reason":"attempts_exhausted","error":{"code":"exit_status","message":"the program ended with 3"}"#;
    let (code, out, err) = Server::answering([job("failed", error)]).run(&format!("jobs watch {ID}"));
    assert_eq!((code, out.as_str()), (1, ""));
    let said = format!(
        "error: job {ID} failed (attempts_exhausted): exit_status: the program ended with 3\nhint: `daybook logs {ID}`"
    );
    assert!(err.contains(&said), "{err}");
    let (code, ..) = Server::answering([job("cancelled", "")]).run(&format!("jobs watch {ID}"));
    assert_eq!(code, 1);
}

#[test]
fn the_next_step_fits_what_became_of_the_job() {
    let hint = |more: &str| Server::answering([job("cancelled", more)]).run(&format!("jobs watch {ID}")).2;
    let stopped = hint(r#","attempt":0,"reason":"dependency_failed""#);
    assert!(stopped.contains("`daybook jobs retry ID --dependents` of the job that it waited for"), "{stopped}");
    let waited = hint(r#","attempt":0,"reason":"cancelled_by_request""#);
    assert!(waited.contains(&format!("hint: `daybook jobs retry {ID}` runs it after all")), "{waited}");
    let ran = hint(r#","attempt":1,"reason":"cancelled_by_request""#);
    assert!(ran.contains(&format!("hint: `daybook logs {ID}` shows what it said")), "{ran}");
}

#[test]
fn a_batch_that_completed_with_failed_items_says_where_they_are() {
    let watch = |items: &str| Server::answering([job("completed", items)]).run(&format!("jobs watch {ID}"));
    let (code, _, err) = watch(r#","items":{"total":7,"completed":4,"failed":3,"skipped":0,"pending":0}"#);
    assert_eq!(code, 0);
    assert!(err.contains("completed, 4 of 7 items, 3 failed\nwhat failed, and why: http://127.0.0.1:"), "{err}");
    assert!(err.contains(&format!("/api/jobs/{ID}/items?state=failed")), "{err}");
    let (_, _, err) = watch(r#","items":{"total":7,"completed":7,"failed":0,"skipped":0,"pending":0}"#);
    assert!(!err.contains("what failed"), "{err}");
}

#[test]
fn a_wait_survives_a_restart_of_the_server() {
    let starting = json(503, r#"{"status":"starting","progress":0.5}"#);
    let again = Reply::Answer(200, "Daybook-Epoch: e2\r\n", format!(r#"{{"id":"{ID}","state":"completed"}}"#));
    let replies = [job("running", ""), Reply::Hang, starting, again];
    let (code, _, err, _) = Server::answering(replies).run_all(&format!("jobs watch {ID}"));
    assert_eq!(code, 0, "{err}");
    assert_eq!(err.matches("the server is away").count(), 1, "it is said once: {err}");
    assert!(err.contains("the server was started again; the job is still there"), "{err}");
}

#[test]
fn a_job_that_a_reset_dropped_ends_the_wait_in_words() {
    let gone = json(404, r#"{"status":404,"code":"job_not_found","detail":"there is no such job"}"#);
    let (code, _, err, _) = Server::answering([job("running", ""), gone]).run_all(&format!("jobs watch {ID}"));
    assert_eq!(code, 1);
    assert!(err.contains("is not there any more") && err.contains("--reset-on-startup"), "{err}");
}

#[test]
fn watch_prints_each_change_as_a_line_of_json() {
    let replies = [job("queued", ""), job("queued", ""), job("running", ""), job("completed", "")];
    let (code, out, ..) = Server::answering(replies).run_all(&format!("jobs watch {ID} --json"));
    assert_eq!(code, 0);
    let states: Vec<bool> =
        out.lines().zip(["queued", "running", "completed"]).map(|(line, state)| line.contains(state)).collect();
    assert_eq!(states, [true; 3], "{out}");
}

#[test]
fn a_submit_whose_connection_broke_says_that_nothing_is_known() {
    let (code, _, err) = Server::answering([Reply::Hang]).run("submit comics");
    assert_eq!(code, 2);
    assert!(err.contains("hint: it is not known whether the job was taken"), "{err}");
    let (_, _, err) = Server::answering([Reply::Hang]).run("submit comics --idempotency-key k");
    assert!(err.contains("hint: run the same command again"), "{err}");
}

#[test]
fn without_a_server_the_hint_says_how_to_start_one() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    for line in ["status".to_owned(), format!("logs -f {ID}"), format!("jobs watch {ID}")] {
        let (code, out, err) = run_at(&format!("http://{free}"), &line);
        assert_eq!((code, out.as_str()), (1, ""));
        let said = format!(
            "error: no server listens at http://{free}\nhint: start one with `daybook serve`, or name another with --server\n"
        );
        assert_eq!(err, said);
    }
}

#[test]
fn a_host_that_nobody_knows_is_the_askers_mistake() {
    for server in ["http://nobody.invalid:1", "http://nobody.invalid"] {
        let (code, out, err) = run_at(server, "status");
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(&format!("at {server}")) && err.contains("name another with --server"), "{err}");
    }
}

#[test]
fn an_address_that_is_none_is_never_asked() {
    for server in [
        "http://127.0.0.1:99999",
        "http://127.0.0.1:0",
        "http://127.0.0.1:x",
        "http://",
        "http:///",
        "ftp://h",
        "http://[::1",
        "http://h?x=1",
        "http://user@h",
        "http://h:",
    ] {
        let (code, out, err) = run_at(server, "status");
        assert_eq!((code, out.as_str()), (1, ""), "{server}: {err}");
        assert!(err.contains("is not the address of a server"), "{server}: {err}");
    }
}

#[test]
fn what_stands_in_front_of_a_server_may_say_that_it_is_away() {
    let away = Reply::Answer(502, "Content-Type: text/html\r\n", "<html>".into());
    let (code, _, err) = Server::answering([away]).run("queues");
    assert!(code == 2 && err.contains("status 502"), "{code} {err}");
}

#[test]
fn help_says_what_the_exit_codes_mean_and_when_the_server_listens() {
    let (code, out, _) = run_at("http://127.0.0.1:1", "--help");
    assert!(code == 0 && out.contains("Exit codes:") && out.contains("no server at that address"), "{out}");
    let (code, out, _) = run_at("http://127.0.0.1:1", "serve --help");
    assert!(code == 0 && out.contains("`listening on http://ADDR`"), "{out}");
}

#[test]
fn a_problem_is_told_with_its_pointers_and_its_hint() {
    let problem = r#"{"status":422,"code":"invalid_args","title":"the args do not fit","detail":"the args do not fit the schema of i2v",
        "hint":"see GET /api/kinds/i2v","errors":[{"pointer":"/args/steps","message":"is above 100"},{"pointer":"","message":"prompt is missing"}]}"#;
    let (code, out, err) = Server::answering([json(422, problem)]).run("submit i2v --args steps=900");
    assert_eq!((code, out.as_str()), (1, ""));
    let lines = [
        "error: the args do not fit the schema of i2v",
        "  /args/steps: is above 100",
        "  the body: prompt is missing",
        "hint: see GET /api/kinds/i2v",
    ];
    assert_eq!(err.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn the_servers_fault_is_2_and_what_is_not_daybook_is_told_apart() {
    let (code, _, err) =
        Server::answering([json(507, r#"{"code":"storage_failed","detail":"the disk is full"}"#)]).run("submit k");
    assert!(code == 2 && err.contains("the disk is full") && err.contains("hint: free some space"), "{code} {err}");
    let page = Reply::Answer(200, "Content-Type: text/html\r\n", "<html>".into());
    let (code, _, err) = Server::answering([page]).run(&format!("why {ID}"));
    assert!(code == 1 && err.contains("not JSON") && err.contains("address of a Daybook server"), "{code} {err}");
    let (code, _, err) = run_at("https://example.test", "status");
    assert!(code == 1 && err.contains("is not the address of a server"), "{code} {err}");
}

#[test]
fn ls_is_a_table_for_people_and_lines_for_programs() {
    let rows = format!(
        r#"{{"jobs":[{{"id":"{ID}","state":"running","kind":"comics","queue":"default","attempt":1,"max_attempts":2,"progress":{{"percent":12.4,"stage":"read"}},"created_at":"2020-01-01T00:00:00.000Z"}},
        {{"id":"{OTHER}","state":"failed","kind":"i2v","queue":"q","attempt":2,"max_attempts":2,"reason":"timeout","error":{{"message":"too slow\nvery"}},"created_at":null}}],"next_cursor":"c9"}}"#
    );
    let (code, out, err, requests) =
        Server::answering([json(200, &rows)]).run_all("jobs ls -n 2 --state running --state failed --kind comics --parent 01890000-0000-7000-8000-000000000009 -q a&b");
    assert_eq!(code, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[0].ends_with("NOTE"), "{out}");
    assert!(lines[1].contains("running  comics  default  1/2") && lines[1].ends_with("12% read"), "{out}");
    assert!(lines[2].ends_with("timeout: too slow\u{fffd}very"), "{out}");
    assert_eq!(err, "there are more: add --cursor c9\n");
    let query = "state=running&state=failed&kind=comics&parent_id=01890000-0000-7000-8000-000000000009&q=a%26b&limit=2";
    assert_eq!(requests[0], format!("GET /api/jobs?{query}"));
    let (_, out, _) = Server::answering([json(200, &rows)]).run("jobs ls -n 2 --json");
    assert_eq!(out.lines().count(), 2);
    assert!(out.starts_with(&format!(r#"{{"id":"{ID}","state":"running""#)), "fields keep their order: {out}");
}

#[test]
fn ls_reads_on_through_short_pages() {
    let page = |id: &str, cursor: &str| json(200, &format!(r#"{{"jobs":[{{"id":"{id}"}}],"next_cursor":{cursor}}}"#));
    let replies = [page(ID, "\"a\""), json(200, r#"{"jobs":[],"next_cursor":"b"}"#), page(OTHER, "null")];
    let (code, out, err, requests) = Server::answering(replies).run_all("jobs ls -q x --json");
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 2, ""));
    assert_eq!(requests[2], "GET /api/jobs?q=x&limit=49&cursor=b");
}

#[test]
fn get_shows_facts_and_payloads() {
    let more = r#","reason":null,"priority":3,"attempt":1,"max_attempts":2,"lost_count":1,"max_lost":5,"tags":["a","b"],"args":{"x":1},"result":null,
        "error":{"code":"timeout","message":"too\u001b[0m slow","attempt":1},"items":{"total":2,"completed":1,"failed":0,"skipped":0,"pending":1}"#;
    let (code, out, _) = Server::answering([job("running", more)]).run(&format!("jobs get {ID}"));
    assert_eq!(code, 0);
    for line in [
        "state      running",
        "queue      default, priority 3",
        "tags       a, b",
        "attempt    1 of 2, lost 1 of 5",
        "items      2: 1 completed, 0 failed, 0 skipped, 1 pending",
        "error      timeout: too\u{fffd}[0m slow (attempt 1)",
    ] {
        assert!(out.lines().any(|shown| shown == line), "{line:?} in {out}");
    }
    assert!(out.ends_with("args:\n{\n  \"x\": 1\n}\n"), "{out}");
}

#[test]
fn one_job_that_cannot_be_cancelled_does_not_stop_the_rest() {
    let refused = json(409, r#"{"code":"job_is_terminal","detail":"the job has ended: it is completed"}"#);
    let replies = [refused, job("cancelled", "")];
    let (code, out, err, requests) =
        Server::answering(replies).run_all(&format!("jobs cancel {OTHER} {ID} --children"));
    assert_eq!((code, out.as_str()), (1, format!("{ID} cancelled\n").as_str()));
    assert_eq!(err, "error: the job has ended: it is completed\n");
    assert_eq!(requests[1], format!(r#"POST /api/jobs/{ID}/cancel {{"children":true}}"#));
}

#[test]
fn retry_asks_for_what_was_typed() {
    let (code, _, _, requests) =
        Server::answering([job("queued", "")]).run_all(&format!("jobs retry {ID} --only-failed-items --dependents"));
    assert_eq!(code, 0);
    assert_eq!(requests[0], format!(r#"POST /api/jobs/{ID}/retry {{"dependents":true,"only_failed_items":true}}"#));
}

#[test]
fn logs_are_printed_page_by_page() {
    let page = json(
        200,
        r#"{"lines":[{"n":4,"at":"x","stream":"stdout","text":"one"},{"n":5,"stream":"stderr","text":"two\u0007"}]}"#,
    );
    let (code, out, _, requests) =
        Server::answering([page, json(200, r#"{"lines":[]}"#)]).run_all(&format!("logs {ID} --after 3"));
    assert_eq!((code, out.as_str()), (0, "one\ntwo\u{fffd}\n"));
    assert_eq!(requests[1], format!("GET /api/jobs/{ID}/logs?after=5"));
}

#[test]
fn a_log_without_lines_says_so_to_people() {
    let empty = || Server::answering([json(200, r#"{"lines":[]}"#)]);
    assert_eq!(empty().run(&format!("logs {ID}")), (0, String::new(), "no lines\n".to_owned()));
    assert_eq!(empty().run(&format!("logs {ID} --json")), (0, String::new(), String::new()));
}

#[test]
fn following_a_log_goes_on_after_the_stream_breaks_and_ends_with_the_job() {
    let stream = |text: &str| Reply::Answer(200, "Content-Type: text/event-stream\r\n", text.to_owned());
    let replies = [
        job("running", ""),
        stream("event: lines\ndata: {\"lines\":[{\"n\":1,\"text\":\"one\"},{\"n\":2,\"text\":\"two\"}]}\n\n"),
        Reply::Hang,
        stream("data: {\"n\":2,\"text\":\"two\"}\n\ndata: {\"n\":3,\"text\":\"three\"}\n\n"),
        job("completed", ""),
        json(200, r#"{"lines":[{"n":4,"text":"four"}]}"#),
        json(200, r#"{"lines":[]}"#),
    ];
    let (code, out, err, requests) = Server::answering(replies).run_all(&format!("logs -f {ID}"));
    assert_eq!((code, out.as_str()), (0, "one\ntwo\nthree\nfour\n"), "{err}");
    assert_eq!(requests[3], format!("GET /api/jobs/{ID}/logs?follow=true&after=2"));
    assert!(err.contains("the server is away"), "{err}");
}

#[test]
fn why_prints_the_sentence() {
    let answer = json(200, r#"{"sentence":"It waits: no worker takes the kind.","facts":{"a":1}}"#);
    let (code, out, _) = Server::answering([answer]).run(&format!("why {ID}"));
    assert_eq!((code, out.as_str()), (0, "It waits: no worker takes the kind.\n"));
}

#[test]
fn a_list_of_many_pages_is_printed_whole() {
    let page = |name: &str, cursor: &str| {
        json(200, &format!(r#"{{"queues":[{{"name":"{name}","depth":{{}}}}],"next_cursor":{cursor}}}"#))
    };
    let server = Server::answering([page("one", r#""c1""#), page("two", "null")]);
    let (code, out, _, requests) = server.run_all("queues");
    assert!(code == 0 && out.contains("one") && out.contains("two"), "{out}");
    assert_eq!(requests[1], "GET /api/queues?limit=500&cursor=c1");
}

#[test]
fn queues_are_listed_paused_drained_and_resumed() {
    let list = json(
        200,
        r#"{"queues":[{"name":"default","depth":{"queued":3,"running":1},"oldest_age_s":61.0,"concurrency":4,"rate":"10/s","paused":{"at":"2026-11-22T06:00:01.000Z","by":{"type":"client","id":"ann"}},"draining":null}]}"#,
    );
    let (code, out, _) = Server::answering([list]).run("queues");
    assert_eq!(code, 0);
    let mut lines = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(
        lines.next().as_deref(),
        Some("QUEUE QUEUED RUNNING LIMIT RATE SCHEDULED BLOCKED RETRYABLE OLDEST STATE")
    );
    assert_eq!(
        lines.next().as_deref(),
        Some("default 3 1 4 10/s 0 0 0 1 min 01 s paused by ann since 2026-11-22T06:00:01.000Z")
    );
    let (code, out, _, requests) = Server::answering([json(200, "{}")]).run_all("queues pause default");
    assert_eq!(
        (code, out.as_str(), requests[0].as_str()),
        (0, "queue default is paused\n", "POST /api/queues/default/pause {}")
    );
    let (code, out, _, requests) = Server::answering([json(200, "{}")]).run_all("queues drain default");
    assert_eq!(
        (code, out.as_str(), requests[0].as_str()),
        (0, "queue default takes no new jobs\n", "POST /api/queues/default/drain {}")
    );
}

#[test]
fn workers_are_listed_with_what_they_run() {
    let list = json(
        200,
        &format!(
            r#"{{"workers":[{{"session":"{OTHER}","name":"comics-1","place":"subprocess","state":"run","kinds":["comics"],"jobs":["{ID}"]}}]}}"#
        ),
    );
    let (code, out, _) = Server::answering([list]).run("workers");
    assert_eq!(code, 0);
    assert!(
        out.lines()
            .nth(1)
            .is_some_and(|line| line.contains("comics-1  subprocess  run    comics") && line.ends_with(ID)),
        "{out}"
    );
}

#[test]
fn a_worker_is_let_rest_or_go() {
    for (action, done) in [("quiet", "takes no more jobs"), ("terminate", "was told to go")] {
        let row = json(200, r#"{"name":"gpu-1"}"#);
        let (code, out, _, requests) = Server::answering([row]).run_all(&format!("workers {action} {OTHER}"));
        assert_eq!((code, out), (0, format!("worker gpu-1 ({OTHER}) {done}\n")));
        assert_eq!(requests[0], format!("POST /api/workers/{OTHER}/{action} {{}}"));
    }
}

#[test]
fn workers_that_are_started_again_are_told_on_stderr() {
    let trouble = r#"{"name":"comics/1","kind":"comics","detail":"ended (exit status 1)","faults":3,
        "next_start_at":"2026-11-22T05:00:00.000Z"}"#;
    let list = json(200, &format!(r#"{{"workers":[],"restarting":[{trouble}]}}"#));
    let (code, out, err) = Server::answering([list]).run("workers");
    assert_eq!((code, out.as_str()), (0, ""));
    let expected = "comics/1 ended (exit status 1), 3 times in a row; it is started again at 2026-11-22T05:00:00.000Z";
    assert!(err.contains(expected), "{err}");
}

#[test]
fn status_is_0_only_if_the_server_takes_jobs() {
    let health =
        json(200, r#"{"status":"ok","epoch":"e1","started_at":"2026-11-22T05:00:00.000Z","seq":17,"version":"0.1.0"}"#);
    let (code, out, err) =
        Server::answering([health, json(200, r#"{"jobs":{"queued":2,"failed":0,"completed":1}}"#)]).run("status");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.contains("status   ok\nversion  0.1.0") && out.ends_with("seq      17\njobs     2 queued, 1 completed\n"),
        "{out}"
    );
    let halted = json(503, r#"{"status":"halted","detail":"the disk is full"}"#);
    let (code, out, err) = Server::answering([halted]).run("status --json");
    assert_eq!((code, out.as_str()), (2, "{\"status\":\"halted\",\"detail\":\"the disk is full\"}\n"));
    assert!(err.starts_with("error: the server is halted: the disk is full\nhint: "), "{err}");
}

#[test]
fn mistakes_of_typing_are_1_with_an_error_and_a_hint() {
    for (line, error, hint) in [
        ("jobs lst", "error: unrecognized subcommand 'lst'", "hint: "),
        (
            "submit",
            "error: the following required arguments were not provided: <KIND>",
            "hint: `daybook submit --help`",
        ),
        ("jobs get 17", "error: invalid value '17' for '<ID>'", "hint: `daybook jobs get --help`"),
        ("submit k --args lonely", "error: \"lonely\" is no key=value pair", "hint: write a JSON object"),
    ] {
        let (code, out, err) = run_at("http://127.0.0.1:1", line);
        assert_eq!((code, out.as_str()), (1, ""), "{line}");
        assert!(
            err.starts_with(error) && err.lines().last().is_some_and(|last| last.starts_with(hint)),
            "{line}: {err}"
        );
    }
}

#[test]
fn help_version_and_completions_are_data() {
    for (line, said) in [("--help", "Usage: daybook"), ("--version", "daybook 0."), ("completions bash", "_daybook()")]
    {
        let (code, out, err) = run_at("http://127.0.0.1:1", line);
        assert!(code == 0 && err.is_empty() && out.contains(said), "{line}: {code} {err}");
    }
}

#[test]
fn schedules_are_listed_over_all_pages_with_their_next_time() {
    let one = r#"{"name":"nightly","cron":"30 2 * * *","time_zone":"Europe/Berlin","job":{"kind":"comics"},"next_at":null,"last_outcome":"failed","last_error":{"code":"invalid_args"},"origin":"config"}"#;
    let two = r#"{"name":"often","cron":"@hourly","time_zone":"UTC","job":{"kind":"i2v"},"next_at":null,"last_outcome":null,"last_error":null,"origin":"api"}"#;
    let replies = [
        json(200, &format!(r#"{{"schedules":[{one}],"next_cursor":"c1"}}"#)),
        json(200, &format!(r#"{{"schedules":[{two}],"next_cursor":null}}"#)),
    ];
    let (code, out, _, requests) = Server::answering(replies).run_all("schedules");
    let lines: Vec<Vec<&str>> =
        out.lines().map(|line| line.split("  ").filter(|it| !it.is_empty()).collect()).collect();
    assert_eq!((code, lines.len()), (0, 3));
    let nightly: Vec<&str> = lines[1].iter().map(|cell| cell.trim()).collect();
    assert_eq!(
        nightly,
        ["nightly", "30 2 * * *", "Europe/Berlin", "comics", "never", "failed: invalid_args", "config"]
    );
    assert_eq!(requests, ["GET /api/schedules", "GET /api/schedules?cursor=c1"]);
}

#[test]
fn a_schedule_is_set_as_it_was_typed_and_dropped() {
    let answer = json(201, r#"{"name":"often","next_at":"2026-11-22T07:00:00.000Z"}"#);
    let line = "schedules set often @hourly i2v --args steps=8 --time-zone Europe/Berlin --missed all --overlap replace \
                --queue q --tag t";
    let (code, out, _, requests) = Server::answering([answer]).run_all(line);
    assert_eq!((code, out.trim()), (0, "schedule often is set; next: 2026-11-22T07:00:00.000Z"));
    let body = r#"{"cron":"@hourly","job":{"args":{"steps":8},"kind":"i2v","queue":"q","tags":["t"]},"missed":"all","overlap":"replace","time_zone":"Europe/Berlin"}"#;
    assert_eq!(requests, [format!("PUT /api/schedules/often {body}")]);
    let gone = Reply::Answer(204, "Daybook-Epoch: e1\r\n", String::new());
    let (code, out, _, requests) = Server::answering([gone]).run_all("schedules rm often");
    assert_eq!((code, out.trim()), (0, "schedule often is dropped"));
    assert_eq!(requests, ["DELETE /api/schedules/often"]);
    let (code, _, err) = Server::answering([]).run("schedules set often @hourly i2v --missed never");
    assert_eq!(code, 1);
    assert!(err.contains("never"), "{err}");
}

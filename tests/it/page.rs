//! What a browser gets from the built binary, whether a dashboard was built into it or not.

use crate::support::TestServer;

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[test]
fn each_page_of_the_dashboard_is_one_document_without_inline_scripts() {
    let server = TestServer::start();
    let first = server.raw("GET", "/jobs", &[HTML], b"");
    for path in [
        "/",
        "/jobs",
        "/jobs/0197a000-0000-7000-8000-000000000000",
        "/submit",
        "/queues",
        "/workers",
        "/schedules",
        "/history",
    ] {
        let page = server.raw("GET", path, &[HTML], b"");
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert_eq!(page.bytes, first.bytes, "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(!page.header("daybook-epoch").is_empty());
        let tag = page.header("etag");
        let again = server.raw("GET", path, &[HTML, ("if-none-match", tag)], b"");
        assert_eq!((again.status, again.bytes.len()), (304, 0), "{path}");
    }
    let text = String::from_utf8(first.bytes).expect("text");
    assert!(!text.contains("<script>") && !text.contains("<style") && !text.contains(" style="), "{text}");
}

/// The binary has a dashboard when it was built beside a Node.js and nobody said otherwise.
#[test]
fn the_document_is_the_dashboard_or_says_what_is_missing() {
    let server = TestServer::start();
    let page = server.raw("GET", "/jobs", &[HTML], b"");
    let text = String::from_utf8(page.bytes.clone()).expect("text");
    if text.contains("<script") {
        let sources = text.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for source in sources {
            let script = server.raw("GET", source, &[("accept-encoding", "br")], b"");
            assert_eq!(
                (script.status, script.header("content-type")),
                (200, "text/javascript; charset=utf-8"),
                "{source}"
            );
            assert_eq!(
                source.starts_with("/assets/"),
                script.header("cache-control").contains("immutable"),
                "{source}"
            );
        }
    } else {
        for part in ["The dashboard is not in this binary: ", "Node.js", "20.19", "cargo run --release -- serve"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    server.get("/api/jobs").ok(200);
}

#[test]
fn what_is_neither_a_page_nor_a_file_is_a_problem_in_json() {
    let server = TestServer::start();
    for path in
        ["/assets/nowhere.js", "/nowhere.js", "/api/nowhere", "/..%2fetc%2fpasswd", "//evil.example", "/jobs/7.js"]
    {
        let answer = server.raw("GET", path, &[HTML], b"");
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"), "{path}");
    }
    let answer = server.raw("GET", "/nowhere", &[("accept", "*/*")], b"");
    assert_eq!((answer.status, answer.problem().as_str()), (404, "not_found"));
    assert_eq!(server.raw("GET", "/nowhere", &[HTML], b"").status, 200);
    for path in ["/", "/jobs"] {
        let answer = server.raw("POST", path, &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{path}");
    }
    // Sent as it is: a client would have tidied these up.
    for path in ["/../Cargo.toml", "/assets/../../Cargo.toml", "/\\evil.example", "//"] {
        let answer = server.send_bytes(
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        );
        assert!(answer.starts_with("HTTP/1.1 404 ") || answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    }
}

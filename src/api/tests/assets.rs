//! What a browser gets at every path that is not the interface: a small dashboard behind the real door, and the notice.

use super::*;

const SCRIPT: &str = "/assets/index-BKd-3_x9.js";
const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const PAGES: [&str; 8] = ["/", "/jobs", "/jobs/7", "/submit", "/queues", "/workers", "/schedules", "/history"];

fn dashboard() -> Arc<Door> {
    let files = [
        ("index.html", "<!doctype html><script src=\"/theme.js\"></script>"),
        ("index.html.gz", "the page, by gzip"),
        ("theme.js", "document.title"),
        ("favicon.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
        ("assets/index-BKd-3_x9.js", "import('react')"),
        ("assets/index-BKd-3_x9.js.br", "the script, by brotli"),
        ("assets/index-BKd-3_x9.js.gz", "the script, by gzip"),
        ("assets/plain.css", "body{}"),
        ("whole.tar.gz", "nobody's form"),
    ];
    let assets = Assets::new(files.map(|(name, text)| (name.to_owned(), Bytes::from_static(text.as_bytes()))));
    let identity =
        Identity { epoch: Epoch(uuid::Uuid::from_u128(7)), started_at: Timestamp::from_ms(1_000), version: "0.0.0" };
    let gate = Gate::new(LISTEN.parse().expect("an address"), Vec::new());
    Arc::new(door_with(identity, gate, assets.expect("the page is among them")))
}

async fn get(path: &str, headers: &[(&str, &str)]) -> HttpResponse<Bytes> {
    ask_at(&dashboard(), "GET", path, headers).await
}

fn header<'a>(response: &'a HttpResponse<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("ASCII"))
}

#[tokio::test]
async fn every_page_is_the_dashboard_whatever_the_client_accepts_and_asks() {
    for path in PAGES.into_iter().chain(["/jobs?state=failed&q=a%20b", "/?at=5"]) {
        for headers in [&[][..], &[HTML], &[("accept", "application/json")]] {
            let page = get(path, headers).await;
            assert_eq!(
                (page.status().as_u16(), header(&page, "content-type")),
                (200, "text/html; charset=utf-8"),
                "{path}"
            );
            assert!(page.body().starts_with(b"<!doctype html>"));
        }
    }
}

#[tokio::test]
async fn a_page_has_a_strict_policy_and_is_asked_for_anew_each_time() {
    for path in PAGES {
        let page = get(path, &[]).await;
        let policy = header(&page, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        for part in [
            "connect-src 'self'",
            "img-src 'self' data: blob:",
            "media-src 'self'",
            "frame-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.split("; ").any(|it| it == part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe"));
        for (name, value) in [
            ("cache-control", "no-cache"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("vary", "accept-encoding"),
        ] {
            assert_eq!(header(&page, name), value, "{name} of {path}");
        }
        assert!(header(&page, "permissions-policy").contains("camera=()"));
    }
}

#[tokio::test]
async fn a_file_under_a_name_with_a_hash_is_kept_for_ever_and_others_are_asked_for_again() {
    for (path, media_type, caching) in [
        (SCRIPT, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        ("/assets/plain.css", "text/css; charset=utf-8", "no-cache"),
        ("/theme.js", "text/javascript; charset=utf-8", "no-cache"),
        ("/favicon.svg", "image/svg+xml", "no-cache"),
        ("/whole.tar.gz", "application/gzip", "no-cache"),
    ] {
        let file = get(path, &[]).await;
        assert_eq!(file.status(), 200, "{path}");
        assert_eq!((header(&file, "content-type"), header(&file, "cache-control")), (media_type, caching), "{path}");
        assert_eq!(header(&file, "x-content-type-options"), "nosniff");
    }
    // A picture that is opened by itself is a document, and could have scripts.
    assert!(header(&get("/favicon.svg", &[]).await, "content-security-policy").starts_with("default-src 'none'"));
}

#[tokio::test]
async fn each_form_of_a_file_is_sent_to_who_wants_it_and_has_a_tag_of_its_own() {
    let mut tags = std::collections::BTreeSet::new();
    for (accepted, coding, body) in [
        ("gzip, br", "br", "the script, by brotli"),
        ("gzip", "gzip", "the script, by gzip"),
        ("identity", "", "import('react')"),
    ] {
        let file = get(SCRIPT, &[("accept-encoding", accepted)]).await;
        assert_eq!((header(&file, "content-encoding"), &file.body()[..]), (coding, body.as_bytes()));
        assert_eq!(header(&file, "vary"), "accept-encoding");
        assert_eq!(header(&file, "content-length"), "");
        tags.insert(header(&file, "etag").to_owned());
    }
    assert_eq!(tags.len(), 3);
    assert!(tags.iter().all(|tag| tag.starts_with('"') && tag.len() == 34), "strong ones: {tags:?}");
    let page = get("/jobs", &[("accept-encoding", "br, gzip;q=0.5")]).await;
    assert_eq!(header(&page, "content-encoding"), "gzip");
}

#[tokio::test]
async fn who_has_a_form_already_gets_304_and_no_bytes() {
    for path in [SCRIPT, "/jobs", "/theme.js"] {
        let first = get(path, &[("accept-encoding", "gzip")]).await;
        let tag = header(&first, "etag").to_owned();
        let again = get(path, &[("accept-encoding", "gzip"), ("if-none-match", &format!("\"x\", {tag}"))]).await;
        assert_eq!((again.status().as_u16(), again.body().len()), (304, 0), "{path}");
        for name in ["etag", "cache-control", "vary", "content-security-policy"] {
            assert_eq!(header(&again, name), header(&first, name), "{name}");
        }
        assert_eq!(header(&again, "content-type"), "");
    }
    let packed = get(SCRIPT, &[("accept-encoding", "br")]).await;
    let other = get(SCRIPT, &[("if-none-match", header(&packed, "etag"))]).await;
    assert_eq!(other.status(), 200, "the tag of another form is not this one's");
}

#[tokio::test]
async fn a_packed_form_has_no_address() {
    for path in ["/assets/index-BKd-3_x9.js.br", "/assets/index-BKd-3_x9.js.gz", "/index.html.gz", "/theme.js.br"] {
        refused(&get(path, &[HTML]).await, 404, "not_found");
    }
}

#[tokio::test]
async fn an_unknown_path_is_the_page_for_browsers_and_nothing_for_programs() {
    for path in ["/nowhere", "/nowhere/else", "/jobs/7/logs", "/jobs/", "/caf%C3%A9"] {
        assert_eq!(get(path, &[HTML]).await.status(), 200, "{path}");
        for accept in ["*/*", "application/json", "text/html;q=0", "image/*"] {
            refused(&get(path, &[("accept", accept)]).await, 404, "not_found");
        }
        refused(&get(path, &[]).await, 404, "not_found");
    }
}

#[tokio::test]
async fn what_is_no_page_is_never_answered_with_one() {
    for path in [
        "/nowhere.js",
        "/index.html",
        "/jobs/7.js",
        "/assets",
        "/assets/",
        "/assets/index-00000000.js",
        "/assets/nowhere",
        "/api",
        "/api/nowhere",
        "/api/jobs/7/nowhere",
    ] {
        refused(&get(path, &[HTML]).await, 404, "not_found");
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_dashboard() {
    for path in [
        "//",
        "//evil.example",
        "//evil.example/jobs",
        "/a//b",
        "/\\evil.example",
        "/..",
        "/../jobs",
        "/..%2f",
        "/..%2fCargo",
        "/%2e%2e/Cargo",
        "/%2e%2e%2fetc%2fpasswd",
        "/assets/../theme.js",
        "/assets/..%2ftheme.js",
        "/assets/%2e%2e/theme.js",
        "/a%5cb",
        "/a%00b",
        "/a%0d%0ab",
        "/%2fevil.example",
        "/%ff",
    ] {
        refused(&get(path, &[HTML]).await, 404, "not_found");
    }
}

#[tokio::test]
async fn a_file_and_a_page_are_read_and_nothing_else() {
    let door = dashboard();
    for path in [SCRIPT, "/theme.js", "/jobs", "/"] {
        let head = ask_at(&door, "HEAD", path, &[("accept-encoding", "br")]).await;
        let whole = get(path, &[("accept-encoding", "br")]).await;
        assert_eq!((head.status(), header(&head, "etag")), (whole.status(), header(&whole, "etag")), "{path}");
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let wrong = ask_at(&door, method, path, &[HTML]).await;
            refused(&wrong, 405, "method_not_allowed");
            assert_eq!(header(&wrong, "allow"), "GET, HEAD");
        }
        let preflight = ask_at(&door, "OPTIONS", path, &[]).await;
        assert_eq!((preflight.status().as_u16(), header(&preflight, "allow")), (204, "GET, HEAD"));
    }
    refused(&ask_at(&door, "POST", "/nowhere", &[HTML]).await, 404, "not_found");
}

#[tokio::test]
async fn a_link_from_another_site_leads_to_the_page() {
    let foreign = [HTML, ("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    let page = get("/jobs", &foreign).await;
    assert_eq!((page.status().as_u16(), header(&page, "access-control-allow-origin")), (200, ""));
}

#[tokio::test]
async fn without_a_dashboard_every_page_says_so_and_what_to_do() {
    for path in PAGES.into_iter().chain(["/nowhere", "/jobs?state=failed"]) {
        let page = ask("GET", path, &[HTML]).await;
        assert_eq!(page.status(), 200, "{path}");
        let text = String::from_utf8_lossy(page.body());
        for part in
            ["a test left it out", "Node.js", "20.19", "cargo run --release -- serve", "/api/openapi.json", "/health"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        let policy = header(&page, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("self"), "{policy}");
        assert!(!text.contains("<script") && !text.contains("style"));
        assert_eq!((header(&page, "cache-control"), header(&page, "referrer-policy")), ("no-cache", "no-referrer"));
    }
    refused(&ask("GET", "/theme.js", &[HTML]).await, 404, "not_found");
}

#[test]
fn files_without_a_page_are_no_dashboard() {
    assert!(Assets::new([]).is_none());
    assert!(Assets::new([("theme.js".to_owned(), Bytes::new())]).is_none());
}

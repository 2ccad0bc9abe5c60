//! What a browser gets at the paths of the dashboard: for now a notice. No script, and nothing from elsewhere.

use warp::http::StatusCode;
use warp::http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use warp::reply::Response;

use crate::api::door::Door;
use crate::api::reply;
use crate::api::request::Request;
use crate::api::route::Route;

/// The paths of the dashboard.
const PATHS: [&str; 8] = ["/", "/jobs", "/jobs/{id}", "/submit", "/queues", "/workers", "/schedules", "/history"];

const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");

const NOTICE: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Daybook</title></head>
<body>
<h1>Daybook</h1>
<p role=\"status\">The server is running. The dashboard comes with a later release.</p>
<ul>
<li><a href=\"/health\">/health</a>: how the server is</li>
<li><a href=\"/api/jobs\">/api/jobs</a>: the jobs</li>
<li><a href=\"/api/kinds\">/api/kinds</a>: what can be submitted</li>
<li><a href=\"/api/openapi.json\">/api/openapi.json</a>: the whole interface</li>
</ul>
<p>On the command line: <code>daybook jobs ls</code>, <code>daybook submit KIND</code>.</p>
</body>
</html>
";

/// The routes of this area.
pub fn routes() -> Vec<Route> {
    PATHS.into_iter().map(|path| Route::always(path, notice)).collect()
}

fn notice(_: &Door, _: &Request) -> Response {
    let mut response = reply::with_type(StatusCode::OK, "text/html; charset=utf-8", NOTICE);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

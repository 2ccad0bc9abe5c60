//! What stands in the place of the dashboard when it is not in the binary: what is missing, and what to do. No script, and
//! nothing from elsewhere.

use warp::http::header::HeaderValue;

/// The notice has nothing but text and links.
pub const POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");

/// The notice. The reason is ours and has no markup in it.
pub fn page(reason: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Daybook: the dashboard is missing</title>
</head>
<body>
<main>
<h1>Daybook</h1>
<p role="status">The server is running and takes jobs. The dashboard is not in this binary: {reason}.</p>
<p>To get it, install <a href="https://nodejs.org/">Node.js</a> 20.19 or newer with npm, and build again:</p>
<pre><code>cargo run --release -- serve</code></pre>
<p>Everything else works without it:</p>
<ul>
<li><a href="/health">/health</a>: how the server is</li>
<li><a href="/api/jobs">/api/jobs</a>: the jobs</li>
<li><a href="/api/kinds">/api/kinds</a>: what can be submitted</li>
<li><a href="/api/openapi.json">/api/openapi.json</a>: the whole interface</li>
</ul>
<p>On the command line: <code>daybook jobs ls</code>, <code>daybook submit KIND</code>, <code>daybook help</code>.</p>
</main>
</body>
</html>
"#
    )
}

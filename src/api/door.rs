//! The way of every request: judge where it comes from, find the route, hold it to its time, and add what every answer
//! has. Open from the first moment: while the log is replayed it says so.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use hyper::upgrade::OnUpgrade;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, TRANSFER_ENCODING, UPGRADE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use crate::api::assets::Assets;
use crate::api::context::{ApiContext, Identity};
use crate::api::error::ApiError;
use crate::api::query::Query;
use crate::api::reply;
use crate::api::request::{Body, Request, body_stream};
use crate::api::route::{Handler, Match, Route, Table};
use crate::auth::{Gate, Verdict};
use crate::metrics;

/// What scripts of other origins may read of an answer's headers.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "daybook-epoch, daybook-seq, idempotency-replayed, location, retry-after, etag, content-range, accept-ranges",
);
/// What scripts of other origins may send.
const ALLOWED_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, idempotency-key, lease-token, x-session-id, range");
/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");
/// The label of requests that no route answers.
const NO_ROUTE: &str = "none";
/// The label of requests for the dashboard's files.
const ASSETS: &str = "/assets";
/// How files can be asked for.
const ASSET_METHODS: &str = "GET, HEAD";

/// The door of the server.
pub struct Door {
    identity: Identity,
    gate: Gate,
    table: Table,
    assets: Assets,
    epoch: HeaderValue,
    /// How much of the log was replayed, in thousandths.
    replayed: AtomicU32,
    context: OnceLock<Arc<ApiContext>>,
}

/// A request before a route is found.
struct Arrived {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Body,
    upgrade: Option<OnUpgrade>,
}

impl Arrived {
    /// The body, if the head says that there is one.
    fn announced_body(&self) -> Option<Body> {
        let length = self.headers.get(CONTENT_LENGTH).filter(|length| length.as_bytes() != b"0");
        let is_announced = length.is_some() || self.headers.contains_key(TRANSFER_ENCODING);
        is_announced.then(|| self.body.clone())
    }
}

impl Door {
    /// Makes a door that says `starting` until it is opened.
    pub fn new(identity: Identity, gate: Gate, table: Table, assets: Assets) -> Door {
        let epoch = HeaderValue::from_str(&identity.epoch.to_string()).expect("a UUID can be a header");
        Door { identity, gate, table, assets, epoch, replayed: AtomicU32::new(0), context: OnceLock::new() }
    }

    /// Says how much of the log was replayed: 0 to 1.
    pub fn set_progress(&self, fraction: f64) {
        self.replayed.store((fraction.clamp(0.0, 1.0) * 1000.0) as u32, Ordering::Relaxed);
    }

    /// How much of the log was replayed: 0 to 1.
    pub fn progress(&self) -> f64 {
        f64::from(self.replayed.load(Ordering::Relaxed)) / 1000.0
    }

    /// Lets requests in. A second time changes nothing.
    pub fn open(&self, context: Arc<ApiContext>) {
        // A second context would be a second engine on the same log, which `storage` does not let happen.
        let _ = self.context.set(context);
    }

    /// Which run of which version this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The routes.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// What handlers use, once the server is ready.
    pub fn context(&self) -> Option<&Arc<ApiContext>> {
        self.context.get()
    }

    /// The filter that answers everything.
    pub fn filter(self: Arc<Door>) -> BoxedFilter<(Response,)> {
        let query = warp::query::raw().or(warp::any().map(String::new)).unify();
        warp::method()
            .and(warp::path::full())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(warp::body::stream())
            .and(warp::ext::optional::<OnUpgrade>())
            .then(move |method, path: warp::path::FullPath, query, headers, body, upgrade| {
                let door = self.clone();
                let path = path.as_str().to_owned();
                let arrived = Arrived { method, path, query, headers, body: Body::new(body_stream(body)), upgrade };
                async move { door.answer(arrived).await }
            })
            .boxed()
    }

    async fn answer(&self, arrived: Arrived) -> Response {
        let began = Instant::now();
        let method = arrived.method.clone();
        let origin = arrived.headers.get(ORIGIN).cloned();
        let verdict = self.judge(&arrived.headers);
        let body = arrived.announced_body();
        // Who waits for 100-continue sends the body only after it was asked for it.
        let is_held_back = arrived.headers.contains_key(EXPECT);
        // Whatever is read from now on shows at least this.
        let seq = self.context.get().map(|context| context.seq());
        let (route, answer) = self.dispatch(arrived, verdict).await;
        let mut response = answer.unwrap_or_else(|error| reply::problem(&error));
        let can_go_on = match body {
            Some(body) if is_held_back => !body.is_unread(),
            Some(body) => body.read_away().await,
            None => true,
        };
        let headers = response.headers_mut();
        if !can_go_on {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(reply::DAYBOOK_EPOCH, self.epoch.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some((name, accepted)) = accepts(&method).zip(headers.get(ACCEPT).cloned()) {
            headers.insert(name, accepted);
        }
        if let Some(seq) = seq {
            headers.entry(reply::DAYBOOK_SEQ).or_insert_with(|| HeaderValue::from(seq.0));
        }
        if let Some(origin) = origin.filter(|_| verdict != Verdict::Foreign) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        metrics::note_request(method_label(&method), route, response.status().as_u16(), began.elapsed());
        response
    }

    fn judge(&self, headers: &HeaderMap) -> Verdict {
        self.gate.judge(single(headers, HOST), single(headers, ORIGIN))
    }

    async fn dispatch(&self, arrived: Arrived, verdict: Verdict) -> (&'static str, Result<Response, ApiError>) {
        let preflight = arrived.method == Method::OPTIONS;
        let reads = arrived.method == Method::GET || arrived.method == Method::HEAD;
        // Over a connection that is made into another, anything may be asked.
        let changes = !preflight && (!reads || arrived.headers.contains_key(UPGRADE));
        let found = self.table.find(&arrived.method, &arrived.path);
        let is_judged_there = matches!(&found, Match::Found { route, .. } if route.judges_origins);
        if (changes || preflight) && verdict == Verdict::Foreign && !is_judged_there {
            return (NO_ROUTE, Err(forbidden(&arrived.headers)));
        }
        match found {
            Match::Found { route, params } => (route.path, self.run(route, params, arrived, verdict).await),
            Match::OtherMethods(allow) if preflight => (NO_ROUTE, Ok(preflight_answer(&allow))),
            Match::OtherMethods(allow) => (NO_ROUTE, Err(ApiError::method_not_allowed(arrived.method.as_str(), allow))),
            Match::Unreadable => (NO_ROUTE, Err(unreadable_path(&arrived.path))),
            Match::Nothing => self.answer_from_assets(&arrived),
        }
    }

    /// What no route answers may be a file of the dashboard, or a page of which only the dashboard knows.
    fn answer_from_assets(&self, arrived: &Arrived) -> (&'static str, Result<Response, ApiError>) {
        let Arrived { method, path, headers, .. } = arrived;
        let reads = method == Method::GET || method == Method::HEAD;
        match self.assets.file(path) {
            Some(file) if reads => (ASSETS, Ok(file.answer(headers))),
            Some(_) if method == Method::OPTIONS => (ASSETS, Ok(preflight_answer(ASSET_METHODS))),
            Some(_) => (ASSETS, Err(ApiError::method_not_allowed(method.as_str(), ASSET_METHODS.to_owned()))),
            None => match self.assets.page_for(path, headers).filter(|_| reads) {
                Some(page) => (ASSETS, Ok(page.answer(headers))),
                None => (NO_ROUTE, Err(nothing_at(path))),
            },
        }
    }

    async fn run(
        &self,
        route: &Route,
        params: Vec<(&'static str, String)>,
        arrived: Arrived,
        verdict: Verdict,
    ) -> Result<Response, ApiError> {
        let query = match &route.handler {
            Handler::Page => Query::default(),
            Handler::Always(_) | Handler::Ready(_) => Query::parse(&arrived.query, route.parameters)?,
        };
        let request = Request {
            upgrade: arrived.upgrade,
            is_foreign: verdict == Verdict::Foreign,
            ..Request::new(params, query, arrived.headers, arrived.body)
        };
        let handler = match &route.handler {
            Handler::Always(handler) => return Ok(handler(self, &request)),
            Handler::Page => {
                let page = self.assets.page(&arrived.path).ok_or_else(|| nothing_at(&arrived.path))?;
                return Ok(page.answer(&request.headers));
            }
            Handler::Ready(handler) => handler,
        };
        let progress = self.progress();
        let starting = || ApiError::new("starting", format!("{:.0} % of the log were replayed", progress * 100.0));
        let context = self.context.get().ok_or_else(starting)?;
        let answer = handler(context.clone(), request);
        let Some(time_max) = route.time_max else { return answer.await };
        let timed = tokio::time::timeout(time_max, answer).await;
        timed.unwrap_or_else(|_| Err(ApiError::new("request_timeout", "it was not done within 60 seconds")))
    }
}

/// The one value of a header. Two values are none that anybody could trust, and are no text of ours.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    Some(value.to_str().ok().filter(|_| values.next().is_none()).unwrap_or("unreadable or given twice"))
}

fn nothing_at(path: &str) -> ApiError {
    ApiError::new("not_found", format!("there is no {path}"))
}

fn unreadable_path(path: &str) -> ApiError {
    let cure = "write a percent sign as %25, and other characters as the escapes of their UTF-8 bytes";
    ApiError::new("not_found", format!("{path} has an escape that stands for no text; {cure}"))
}

fn forbidden(headers: &HeaderMap) -> ApiError {
    let shown = |name| {
        headers.get(name).map_or_else(|| "none".into(), |it: &HeaderValue| String::from_utf8_lossy(it.as_bytes()))
    };
    ApiError::new("forbidden_origin", format!("the Origin is {}, the Host {}", shown(ORIGIN), shown(HOST)))
}

fn preflight_answer(allow: &str) -> Response {
    let mut response = reply::with_type(StatusCode::NO_CONTENT, "text/plain", "");
    let headers = response.headers_mut();
    let allow = HeaderValue::from_str(allow).expect("the names of methods can be a header");
    headers.insert(ALLOW, allow.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE_S);
    response
}

/// The header by which the answer to a method says which bodies are understood, beside `Accept`.
fn accepts(method: &Method) -> Option<HeaderName> {
    match *method {
        Method::POST => Some(HeaderName::from_static("accept-post")),
        Method::PATCH => Some(HeaderName::from_static("accept-patch")),
        _ => None,
    }
}

/// A method as a label: made-up ones share one, so that nobody can make labels without end.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

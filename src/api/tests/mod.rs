//! What holds for every request, whatever answers it: seen through the door of a server that is still starting.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower_service::Service;
use warp::http::{Request as HttpRequest, Response as HttpResponse};

use super::*;

mod assets;
mod handlers;
mod live_socket;
mod schedules;
mod schemas;
mod world;
use crate::domain::id::Epoch;
use crate::domain::time::Timestamp;

const LISTEN: &str = "127.0.0.1:7878";

fn closed_door() -> Arc<Door> {
    let epoch = Epoch(uuid::Uuid::from_u128(7));
    let identity = Identity { epoch, started_at: Timestamp::from_ms(1_000), version: "0.0.0" };
    let allowed = vec!["https://jobs.example.org".parse().expect("an origin")];
    let gate = Gate::new(LISTEN.parse().expect("an address"), allowed);
    Arc::new(door_with(identity, gate, Assets::absent("a test left it out")))
}

async fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> HttpResponse<Bytes> {
    ask_at(&closed_door(), method, path, headers).await
}

async fn ask_at(door: &Arc<Door>, method: &str, path: &str, headers: &[(&str, &str)]) -> HttpResponse<Bytes> {
    let mut request = HttpRequest::builder().method(method).uri(path).header("host", LISTEN);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::new())).expect("a request");
    let response = warp::service(door.clone().filter()).call(request).await.expect("always answers");
    let (parts, body) = response.into_parts();
    HttpResponse::from_parts(parts, body.collect().await.expect("a body").to_bytes())
}

fn json(response: &HttpResponse<Bytes>) -> Value {
    serde_json::from_slice(response.body()).expect("JSON")
}

fn refused(response: &HttpResponse<Bytes>, status: u16, code: &str) {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body = json(response);
    assert_eq!((response.status().as_u16(), body["code"].as_str()), (status, Some(code)), "{body}");
    assert_eq!(body["status"], status);
}

#[tokio::test]
async fn every_answer_carries_the_epoch() {
    for path in ["/health", "/nowhere", "/api/jobs", "/"] {
        let response = ask("GET", path, &[]).await;
        assert_eq!(response.headers()["daybook-epoch"], "00000000-0000-0000-0000-000000000007", "{path}");
    }
}

#[tokio::test]
async fn while_the_log_is_replayed_health_says_how_far_and_the_rest_asks_for_patience() {
    let door = closed_door();
    door.set_progress(0.25);
    let health = ask_at(&door, "GET", "/health", &[]).await;
    assert_eq!(health.status(), 503);
    assert_eq!(json(&health), serde_json::json!({"status": "starting", "progress": 0.25}));
    assert_eq!(health.headers()["retry-after"], "1");
    let session = ask_at(&door, "GET", "/api/session/status", &[]).await;
    assert_eq!((session.status().as_u16(), json(&session)["reason"].as_str()), (503, Some("starting")));
    let jobs = ask_at(&door, "GET", "/api/jobs", &[]).await;
    refused(&jobs, 503, "starting");
    assert_eq!(jobs.headers()["retry-after"], "1");
}

#[tokio::test]
async fn a_path_that_is_not_there_and_a_method_that_is_not_for_it_are_told_apart() {
    refused(&ask("GET", "/api/nowhere", &[]).await, 404, "not_found");
    let wrong = ask("DELETE", "/api/jobs", &[]).await;
    refused(&wrong, 405, "method_not_allowed");
    assert_eq!(wrong.headers()["allow"], "POST, GET, HEAD");
}

#[tokio::test]
async fn an_unknown_query_parameter_is_refused_before_anything_is_done() {
    let response = ask("GET", "/api/jobs?sttae=queued", &[]).await;
    refused(&response, 400, "invalid_query");
    assert!(json(&response)["detail"].as_str().expect("a text").contains("did you mean \"state\""));
    refused(&ask("POST", "/api/jobs?x=1", &[]).await, 400, "invalid_query");
}

#[tokio::test]
async fn a_page_of_another_site_may_change_nothing() {
    refused(&ask("POST", "/api/jobs", &[("origin", "http://evil.example")]).await, 403, "forbidden_origin");
    refused(&ask("POST", "/api/jobs", &[("host", "evil.example")]).await, 403, "forbidden_origin");
    let reading = ask("GET", "/health", &[("origin", "http://evil.example")]).await;
    assert!(!reading.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn an_allowed_origin_gets_cors() {
    let origin = ("origin", "https://jobs.example.org");
    let response = ask("GET", "/health", &[origin]).await;
    assert_eq!(response.headers()["access-control-allow-origin"], "https://jobs.example.org");
    assert_eq!(response.headers()["vary"], "origin");
    let preflight = ask("OPTIONS", "/api/jobs", &[origin, ("access-control-request-method", "POST")]).await;
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-methods"], "POST, GET, HEAD");
    refused(&ask("OPTIONS", "/api/jobs", &[("origin", "http://evil.example")]).await, 403, "forbidden_origin");
}

#[tokio::test]
async fn the_description_names_every_route_and_every_reference_leads_somewhere() {
    let document = json(&ask("GET", "/api/openapi.json", &[]).await);
    for route in routes().iter().filter(|route| route.name.is_some()) {
        let method = route.method.as_str().to_ascii_lowercase();
        assert!(document["paths"][route.path][&method]["operationId"].is_string(), "{method} {}", route.path);
    }
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect_references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            into.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect_references(member, into));
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect_references(element, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn no_two_routes_have_the_same_name_or_method_and_path() {
    let routes = routes();
    for (place, route) in routes.iter().enumerate() {
        for other in &routes[..place] {
            assert!(route.name.is_none() || route.name != other.name, "{:?}", route.name);
            assert!(route.path != other.path || route.method != other.method, "{}", route.path);
        }
    }
}

/// A door with one route, which never answers by itself.
fn slow_door() -> Arc<Door> {
    let never = |_, _| std::future::pending::<Result<warp::reply::Response, error::ApiError>>();
    let mut route = Route::new(warp::http::Method::GET, "/slow", never);
    route.time_max = Some(std::time::Duration::from_millis(20));
    let epoch = Epoch(uuid::Uuid::from_u128(7));
    let identity = Identity { epoch, started_at: Timestamp::from_ms(1_000), version: "0.0.0" };
    let gate = Gate::new(LISTEN.parse().expect("an address"), Vec::new());
    Arc::new(Door::new(identity, gate, Table::new(vec![route]), Assets::absent("a test left it out")))
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_all_the_same() {
    let world = world::World::start().await;
    let door = slow_door();
    door.open(world.door.context().expect("is open").clone());
    let late = ask_at(&door, "GET", "/slow", &[]).await;
    refused(&late, 503, "request_timeout");
    assert_eq!(late.headers()["retry-after"], "1");
}

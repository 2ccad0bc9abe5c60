//! HTTP and WebSocket: turns requests into commands and queries, and what comes back into answers. The only place that says `warp`.
//!
//! A handler does four things: extract, convert, submit, render. What is allowed is decided in `domain`, what a request
//! means in `kinds`, what a list shows in `views`. [`door::Door`] is the way of every request, [`route`] the table of
//! routes, [`error`] the table of errors; the areas have their routes beside their handlers.

pub mod assets;
pub mod asyncapi;
pub mod backups;
pub mod batches;
mod canonical;
pub mod context;
mod cursor;
pub mod door;
pub mod error;
mod event_stream;
pub mod events;
mod examples;
pub mod export;
pub mod files;
pub mod filter;
mod gauges;
mod headers;
pub mod history;
pub mod jobs;
pub mod kinds;
mod lease;
pub mod listener;
mod live_socket;
pub mod logs;
pub mod openapi;
mod pages;
mod paging;
pub mod past;
mod payload;
mod purge;
pub mod query;
pub mod queues;
mod range;
pub mod reply;
pub mod request;
pub mod requests;
pub mod route;
pub mod schedules;
pub mod system;
#[cfg(test)]
mod tests;
pub mod timeline;
pub mod websocket;
pub mod why;
pub mod worker_calls;
mod worker_requests;
pub mod worker_socket;
pub mod workers;

use crate::api::assets::Assets;
use crate::api::context::Identity;
use crate::api::door::Door;
use crate::api::route::{Route, Table};
use crate::auth::Gate;

/// The door to all routes and to the dashboard of this binary. It says `starting` until it is opened.
pub fn door(identity: Identity, gate: Gate) -> Door {
    door_with(identity, gate, assets::embedded())
}

/// The same with another dashboard.
fn door_with(identity: Identity, gate: Gate, assets: Assets) -> Door {
    Door::new(identity, gate, Table::new(routes()), assets)
}

/// All routes; what is asked most stands first, because the first that fits answers.
fn routes() -> Vec<Route> {
    let areas = [
        ("jobs", jobs::routes()),
        ("jobs", purge::routes()),
        ("batches", batches::routes()),
        ("events", events::routes()),
        ("events", event_stream::routes()),
        ("events", export::routes()),
        ("system", backups::routes()),
        ("events", live_socket::routes()),
        ("events", timeline::routes()),
        ("events", history::routes()),
        ("logs", logs::routes()),
        ("files", files::routes()),
        ("queues", queues::routes()),
        ("workers", workers::routes()),
        ("schedules", schedules::routes()),
        ("workers", worker_calls::routes()),
        ("workers", worker_socket::routes()),
        ("kinds", kinds::routes()),
        ("system", system::routes()),
        ("pages", pages::routes()),
    ];
    areas.into_iter().flat_map(|(area, routes)| routes.into_iter().map(|route| route.within(area))).collect()
}

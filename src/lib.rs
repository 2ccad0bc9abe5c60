//! Daybook: a job service that writes every transition of every job down before anybody hears of it.
//!
//! One verb a layer: `api` translates, `engine` sequences, `domain` decides and evolves, `log` appends, `views`
//! project, `feed` publishes. Imports run inward only; `tests/tidy.rs` holds them to it. ARCHITECTURE.md is the map.

pub mod domain;

pub mod feed;
pub mod log;
pub mod views;

pub mod engine;

pub mod kinds;
pub mod live;
pub mod schedules;
pub mod sessions;

pub mod api;
pub mod maintenance;
pub mod storage;
pub mod workers;

pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod metrics;
pub mod shutdown;
pub mod telemetry;

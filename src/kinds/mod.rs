//! What a kind is, and how a request for a job becomes a `NewJob` with every default filled in.
//!
//! The same rules serve every way in: HTTP, bulks, and a worker's `submit`. Must never read files, talk to the engine or
//! know a status code: it turns untrusted text into values of the domain, or says everything that is wrong with it.
//! Imports `domain` only. Start reading at [`request::parse_job`].

pub mod base64;
pub mod catalog;
pub mod fields;
pub mod problem;
pub mod request;
pub mod schema;
pub mod states;

pub use catalog::{Catalog, Kind, KindSettings, RunMode, RunSettings};
pub use problem::{Problem, Problems};
pub use request::RequestError;

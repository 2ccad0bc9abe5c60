//! The bodies of workers over plain HTTP: who one is, what it claims, what it holds. Reads; asks nobody.

use std::str::FromStr;
use std::sync::Arc;

use crate::api::error::ApiError;
use crate::api::requests::read;
use crate::domain::id::{KindName, LeaseToken, QueueName, SessionId};
use crate::domain::job::WorkerPlace;
use crate::domain::time::Millis;
use crate::kinds::fields::{Fields, Zero};
use crate::kinds::problem::below;
use crate::sessions::Joining;
use crate::sessions::frames::{LEASES_NAMED_MAX, LeaseRef, NAME_BYTES_MAX, NAMES_MAX, SLOTS_MAX};
use crate::sessions::resume::NAMELESS;

/// The longest that a claim may wait for jobs, in seconds.
pub const WAIT_S_MAX: f64 = 50.0;
/// The most bytes of a token that is looked at.
const TOKEN_BYTES_MAX: usize = 256;

/// The body of `POST /api/workers`.
#[derive(schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read field by field")]
pub struct RegisterRequest {
    /// A label for people; it need not be unique. `worker` unless told.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    name: Option<Arc<str>>,
    /// The kinds that it runs. Empty or absent: every kind.
    #[schemars(length(max = NAMES_MAX))]
    kinds: Option<Vec<KindName>>,
    /// The queues that it takes jobs from; absent: every queue.
    #[schemars(length(max = NAMES_MAX))]
    queues: Option<Vec<QueueName>>,
    /// How many jobs it wants to hold at once; 1 unless told.
    #[schemars(range(min = 1, max = SLOTS_MAX))]
    concurrency: Option<u32>,
}

/// The body of `POST /api/claim`.
#[derive(schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read field by field")]
pub struct ClaimRequest {
    /// The session of the worker.
    session: SessionId,
    /// The most jobs to take, within what its `concurrency` leaves; 1 unless told.
    #[schemars(range(min = 1, max = SLOTS_MAX))]
    max: Option<u32>,
    /// How long to wait for the first: 0, or 0.1 and more; more than 50 is 50. 0 unless told.
    #[schemars(range(min = 0))]
    wait_s: Option<f64>,
}

/// The body of `POST /api/heartbeat`.
#[derive(schemars::JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read field by field")]
pub struct HeartbeatRequest {
    /// The session of the worker.
    session: SessionId,
    /// The leases of the jobs that it works on.
    #[schemars(length(max = LEASES_NAMED_MAX))]
    leases: Option<Vec<LeaseRef>>,
}

/// Reads who a worker is, and how many jobs it wants to hold.
pub fn register(text: &str) -> Result<(Joining, usize), ApiError> {
    read(text, |fields| {
        let name = fields.short_text("name", NAME_BYTES_MAX).map(Arc::from);
        let kinds = names(fields, "kinds").unwrap_or_default();
        let queues = names(fields, "queues");
        let concurrency = fields.integer("concurrency", 1..=i64::from(SLOTS_MAX)).unwrap_or(1);
        let name = name.unwrap_or_else(|| NAMELESS.into());
        (Joining { name, kinds, queues, place: WorkerPlace::Remote }, concurrency as usize)
    })
}

/// Reads who claims, how many jobs at most, and how long it waits.
pub fn claim(text: &str) -> Result<(SessionId, usize, Millis), ApiError> {
    read(text, |fields| {
        let session = session(fields);
        let max = fields.integer("max", 1..=i64::from(SLOTS_MAX)).unwrap_or(1);
        let wait = fields.seconds("wait_s", Zero::Allowed).unwrap_or_default();
        (session, max as usize, wait.min(Millis((WAIT_S_MAX * 1000.0) as u64)))
    })
}

/// Reads whose heart beats, and the leases that it names.
pub fn heartbeat(text: &str) -> Result<(SessionId, Vec<LeaseRef>), ApiError> {
    read(text, |fields| {
        let session = session(fields);
        let elements = fields.list("leases", LEASES_NAMED_MAX).unwrap_or_default();
        let base = fields.pointer("leases");
        let mut leases = Vec::with_capacity(elements.len());
        for (place, element) in elements.into_iter().enumerate() {
            let Some(mut lease) = Fields::open(element, &below(&base, place), fields.problems()) else { continue };
            let job_id = lease.required("job_id", "").and_then(|value| lease.parse_value("job_id", value));
            let token = lease.required("token", "").and_then(|value| lease.value_text("token", value, TOKEN_BYTES_MAX));
            lease.finish();
            leases.extend(job_id.zip(token).map(|(job_id, token)| LeaseRef { job_id, token: LeaseToken::new(token) }));
        }
        (session, leases)
    })
}

/// The session that must be named. When it is not, that was noted as a problem, and what stands in for it is never used.
fn session(fields: &mut Fields) -> SessionId {
    let value = fields.required("session", ": POST /api/workers answers with one");
    value.and_then(|value| fields.parse_value("session", value)).unwrap_or(SessionId(uuid::Uuid::nil()))
}

fn names<T: FromStr<Err: std::fmt::Display>>(fields: &mut Fields, name: &'static str) -> Option<Vec<T>> {
    let elements = fields.list(name, NAMES_MAX)?;
    let base = fields.pointer(name);
    let mut names = Vec::with_capacity(elements.len());
    for (place, element) in elements.into_iter().enumerate() {
        let parsed = serde_json::from_str::<String>(element.get()).map_err(|_| "must be a string".to_owned());
        match parsed.and_then(|text| text.parse().map_err(|error: T::Err| error.to_string())) {
            Ok(name) => names.push(name),
            Err(message) => fields.problems().add(below(&base, place), message),
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "01990000-0000-7000-8000-000000000001";

    fn pointers(error: ApiError) -> Vec<String> {
        let body = serde_json::to_value(error.body()).expect("writes");
        let errors = body["errors"].as_array().expect("errors").iter();
        errors.map(|error| error["pointer"].as_str().expect("a text").to_owned()).collect()
    }

    #[test]
    fn a_worker_that_says_nothing_of_itself_takes_one_job_of_any_kind() {
        let (joining, concurrency) = register("{}").expect("is right");
        assert_eq!((&*joining.name, joining.kinds, joining.queues, concurrency), (NAMELESS, vec![], None, 1));
    }

    #[test]
    fn a_longer_wait_is_the_longest() {
        let claim_of = |more: &str| claim(&format!(r#"{{"session": "{SESSION}"{more}}}"#)).expect("is right");
        assert_eq!(claim_of("").2, Millis(0));
        assert_eq!(claim_of(r#", "wait_s": 0.5, "max": 4"#).2, Millis(500));
        assert_eq!(claim_of(r#", "wait_s": 3600"#).2, Millis(50_000));
    }

    #[test]
    fn every_problem_is_named_at_its_place() {
        let wrong = r#"{"name": "", "kinds": ["a", 7, "no name"], "concurrency": 0, "colour": 1}"#;
        let named = pointers(register(wrong).expect_err("is wrong"));
        assert_eq!(named, ["/name", "/kinds/1", "/kinds/2", "/concurrency", "/colour"]);
        assert_eq!(pointers(claim("{}").expect_err("is wrong")), ["/session"]);
        let wrong = format!(r#"{{"session": "{SESSION}", "leases": [{{"job_id": 7}}, 8]}}"#);
        let named = pointers(heartbeat(&wrong).expect_err("is wrong"));
        assert_eq!(named, ["/leases/0/job_id", "/leases/0/token", "/leases/1"]);
    }
}

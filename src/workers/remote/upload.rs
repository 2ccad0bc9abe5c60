//! Sends the output files of runs to the server, with the token of the job's lease. A server that is away is waited for
//! as long as the run may go on.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;

use crate::domain::id::{JobId, LeaseToken};
use crate::domain::time::Millis;
use crate::workers::remote::backoff::Backoff;

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long the server may take to answer when it has the whole file.
const ANSWER_MAX: Duration = Duration::from_secs(70);
/// The longest wait before a file is tried again: its program has ended, and its job waits for nothing else.
const TRY_EVERY_MAX: Millis = Millis::from_secs(5);
/// How much of a refusal is shown, in bytes.
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;

/// A file to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub job: JobId,
    pub token: LeaseToken,
    pub name: String,
    pub path: PathBuf,
}

/// The way to the server's files.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    agent: Agent,
    /// `http://host:port`, without a slash at its end.
    server: Arc<str>,
    authorization: Option<Arc<str>>,
}

/// Why a file was not sent.
#[derive(Debug)]
enum Trouble {
    /// It may go better in a while.
    Passing(String),
    /// It will not.
    Final(NotKept),
}

/// Why a file is not kept.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// The lease of its job is gone.
    LeaseLost,
    /// The server does not take it, or it cannot be read.
    Refused(String),
}

impl Uploads {
    pub fn new(server: &str, token: Option<&str>) -> Uploads {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("daybook/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_MAX))
            .timeout_recv_response(Some(ANSWER_MAX))
            .build()
            .new_agent();
        Uploads { agent, server: server.into(), authorization: token.map(|token| format!("Bearer {token}").into()) }
    }

    /// Sends a file, however often it takes. Dropping the future gives up.
    pub async fn send(&self, upload: Upload) -> Result<(), NotKept> {
        let mut backoff = Backoff::default();
        loop {
            let (uploads, one) = (self.clone(), upload.clone());
            let sent = tokio::task::spawn_blocking(move || uploads.send_once(&one)).await;
            match sent.expect("sending a file does not panic") {
                Ok(()) => return Ok(()),
                Err(Trouble::Final(why)) => return Err(why),
                Err(Trouble::Passing(why)) => {
                    tracing::warn!(job = %upload.job, "an output file was not sent yet: {why}");
                    let wait = backoff.wait(uuid::Uuid::new_v4().as_u64_pair().0, TRY_EVERY_MAX);
                    tokio::time::sleep(Duration::from_millis(wait.0)).await;
                }
            }
        }
    }

    fn send_once(&self, upload: &Upload) -> Result<(), Trouble> {
        let Upload { job, token, name, path } = upload;
        let refused = |why| Trouble::Final(NotKept::Refused(why));
        let file = File::open(path).map_err(|error| refused(format!("it could not be read: {error}")))?;
        let media_type = mime_guess::from_path(name).first_or_octet_stream();
        let url = format!("{}/api/jobs/{job}/files/{}", self.server, escaped(name));
        let request = self.agent.put(url).content_type(media_type.as_ref()).header("Lease-Token", token.reveal());
        let request = match &self.authorization {
            Some(authorization) => request.header("Authorization", &**authorization),
            None => request,
        };
        let mut response = request.send(&file).map_err(|error| Trouble::Passing(error.to_string()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let body = response.body_mut().with_config().limit(REFUSAL_BYTES_MAX).read_to_string().unwrap_or_default();
        let said = format!("{status}: {}", detail_of(&body));
        match status.as_u16() {
            429 | 500 | 502..=504 => Err(Trouble::Passing(said)),
            409 => Err(Trouble::Final(NotKept::LeaseLost)),
            _ => Err(refused(said)),
        }
    }
}

fn detail_of(body: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
    }
    serde_json::from_str::<Problem>(body).map_or_else(|_| body.trim().to_owned(), |problem| problem.detail)
}

/// A name as a part of a path.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_escaped_for_a_path() {
        assert_eq!(escaped("a b/ü%.png"), "a%20b%2F%C3%BC%25.png");
    }
}

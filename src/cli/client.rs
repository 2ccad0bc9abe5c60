//! Speaks HTTP to a server. What it answers as a problem becomes a failure with its hint and its pointers; what is only
//! passing (it starts, it restarts, it is overloaded) can be told from what is not. Must never print.

use std::io::{BufRead, BufReader, ErrorKind};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Response, Uri};

use crate::cli::args::{Connection, SERVER_DEFAULT};
use crate::cli::document::Document;
use crate::cli::failure::{Failure, Stop, Whose};

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A request ends after 60 s at the latest, says the contract; a little more, so that its answer is heard.
const REQUEST_MAX: Duration = Duration::from_secs(70);
/// A job has 12 MiB of args and as much of a result at most, and escapes.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A server, as seen from here.
pub struct Client {
    agent: Agent,
    server: String,
    token: Option<String>,
}

/// An answer that is not a problem.
#[derive(Debug)]
pub struct Answer {
    /// The server's instance id.
    pub epoch: Option<String>,
    /// It is the answer to an earlier request with the same `Idempotency-Key`.
    pub is_replayed: bool,
    pub document: Document,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// Nobody listens there, or not yet.
    Unreachable(String),
    /// The connection broke, or the answer did not come in time: what became of the request is not known.
    Broken(String),
    /// The server said no.
    Refused(Problem),
    /// Nothing that time would cure.
    Hopeless(Failure),
}

/// A problem as the server described it.
#[derive(Debug)]
pub struct Problem {
    pub status: u16,
    pub document: Document,
}

impl Problem {
    /// Whether the server still reads its log: nothing was done, and soon it will answer.
    pub fn is_starting(&self) -> bool {
        self.status == 503 && self.document.text("code") == Some("starting")
    }
}

/// How long a server may read its log before a command gives up.
const STARTING_MAX: Duration = Duration::from_secs(60);
/// How long until it is asked again.
const STARTING_PAUSE: Duration = Duration::from_millis(100);

/// Asks again while the server still reads its log: it has done nothing yet.
fn once_started(ask: impl Fn() -> Result<Answer, Trouble>) -> Result<Answer, Trouble> {
    let begun = Instant::now();
    loop {
        match ask() {
            Err(Trouble::Refused(problem)) if problem.is_starting() && begun.elapsed() < STARTING_MAX => {
                std::thread::sleep(STARTING_PAUSE);
            }
            other => return other,
        }
    }
}

/// The rows of a page, as many as the server gives at once.
const PAGE_ROWS: usize = 500;

fn next_of(page: &Document) -> Option<String> {
    page.text("next_cursor").map(str::to_owned)
}

impl Client {
    /// A client for the server that the command line names.
    pub fn new(connection: &Connection) -> Result<Client, Failure> {
        let named = connection.server.as_deref().unwrap_or(SERVER_DEFAULT).trim().trim_end_matches('/');
        let server = match named.split_once("://") {
            // An empty DAYBOOK_SERVER is one that is not set.
            None if named.is_empty() => SERVER_DEFAULT.to_owned(),
            Some(("http", _)) => named.to_owned(),
            None => format!("http://{named}"),
            _ => String::new(),
        };
        if !is_address(&server) {
            let failure = Failure::of_asker(format!("{named:?} is not the address of a server"));
            return Err(failure.hint("write it like http://127.0.0.1:7878; for https put a tunnel in between"));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("daybook/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_MAX))
            .timeout_send_body(Some(REQUEST_MAX))
            .timeout_recv_response(Some(REQUEST_MAX))
            .build()
            .new_agent();
        Ok(Client { agent, server, token: connection.token.clone() })
    }

    /// The address of the server, without a slash at its end.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Reads something.
    pub fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Answer, Trouble> {
        once_started(|| self.get_once(path, query))
    }

    /// Reads a list that is short as a rule, all its pages. Gives the elements, and the first page for what else it says.
    pub fn get_list(&self, path: &str, name: &str) -> Result<(Vec<Document>, Document), Trouble> {
        let limit = ("limit", PAGE_ROWS.to_string());
        let first = self.get(path, std::slice::from_ref(&limit))?.document;
        let (mut rows, mut cursor) = (first.list(name), next_of(&first));
        while let Some(next) = cursor {
            let page = self.get(path, &[limit.clone(), ("cursor", next)])?.document;
            rows.extend(page.list(name));
            cursor = next_of(&page);
        }
        Ok((rows, first))
    }

    fn get_once(&self, path: &str, query: &[(&str, String)]) -> Result<Answer, Trouble> {
        let request = self.agent.get(format!("{}{path}", self.server)).header("Accept", "application/json");
        let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
        let response = self.authorised(request).config().timeout_recv_body(Some(REQUEST_MAX)).build().call();
        self.answer(response)
    }

    /// Changes something.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Answer, Trouble> {
        self.post_text(path, headers, &body.to_string())
    }

    /// The same with a body that is JSON already.
    pub fn post_text(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, Trouble> {
        once_started(|| self.post_once(path, headers, body))
    }

    fn post_once(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, Trouble> {
        let request = self.agent.post(format!("{}{path}", self.server)).content_type("application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = self.authorised(request).config().timeout_recv_body(Some(REQUEST_MAX)).build();
        self.answer(response.send(body))
    }

    /// Makes something, or changes it to this. The same again changes nothing.
    pub fn put(&self, path: &str, body: &Value) -> Result<Answer, Trouble> {
        once_started(|| {
            let request = self.agent.put(format!("{}{path}", self.server)).content_type("application/json");
            let response = self.authorised(request).config().timeout_recv_body(Some(REQUEST_MAX)).build();
            self.answer(response.send(body.to_string()))
        })
    }

    /// Takes something away.
    pub fn delete(&self, path: &str) -> Result<Answer, Trouble> {
        once_started(|| {
            let request = self.agent.delete(format!("{}{path}", self.server)).header("Accept", "application/json");
            let response = self.authorised(request).config().timeout_recv_body(Some(REQUEST_MAX)).build();
            self.answer(response.call())
        })
    }

    /// Listens to a stream of server-sent events. It may be silent for any time.
    pub fn stream(&self, path: &str, query: &[(&str, String)]) -> Result<Box<dyn BufRead>, Trouble> {
        self.read_on(path, query, "text/event-stream")
    }

    /// Reads lines for as long as they come.
    pub fn lines(&self, path: &str, query: &[(&str, String)]) -> Result<Box<dyn BufRead>, Trouble> {
        let begun = Instant::now();
        loop {
            match self.read_on(path, query, "application/x-ndjson") {
                Err(Trouble::Refused(problem)) if problem.is_starting() && begun.elapsed() < STARTING_MAX => {
                    std::thread::sleep(STARTING_PAUSE);
                }
                other => return other,
            }
        }
    }

    fn read_on(&self, path: &str, query: &[(&str, String)], accept: &str) -> Result<Box<dyn BufRead>, Trouble> {
        let request = self.agent.get(format!("{}{path}", self.server)).header("Accept", accept);
        let request = query.iter().fold(request, |request, (name, value)| request.query(name, value));
        match self.authorised(request).call() {
            Ok(response) if response.status().is_success() => {
                Ok(Box::new(BufReader::new(response.into_body().into_reader())))
            }
            other => Err(self.answer(other).err().unwrap_or_else(|| Trouble::Broken("it is not a stream".into()))),
        }
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn answer(&self, response: Result<Response<ureq::Body>, ureq::Error>) -> Result<Answer, Trouble> {
        let mut response = response.map_err(|error| self.trouble(error))?;
        let status = response.status();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (epoch, is_replayed) = (header("daybook-epoch"), header("idempotency-replayed").is_some());
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = body.map_err(|error| self.trouble(error))?;
        // An answer without a body says all by its status.
        let text = if status == 204 { "null".to_owned() } else { text };
        let document = Document::read(text).map_err(|failure| {
            let message = format!("{}: {} (status {status})", self.server, failure.message);
            // What was asked is no Daybook, unless something in front of one says that it is away.
            let is_elsewhere = epoch.is_none() && !matches!(status.as_u16(), 502..=504);
            let whose = if is_elsewhere { Whose::Asker } else { failure.whose };
            Trouble::Hopeless(Failure { message, whose, ..failure })
        })?;
        if status.is_success() {
            Ok(Answer { epoch, is_replayed, document })
        } else {
            Err(Trouble::Refused(Problem { status: status.as_u16(), document }))
        }
    }

    fn trouble(&self, error: ureq::Error) -> Trouble {
        let says = |text: &str| format!("{text} at {}", self.server);
        match error {
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                Trouble::Unreachable(says("no server listens"))
            }
            ureq::Error::HostNotFound => Trouble::Unreachable(says("no host has the name of the server")),
            ureq::Error::Io(error) if is_unknown_host(&error) => {
                Trouble::Unreachable(says("no host has the name of the server"))
            }
            ureq::Error::Io(error) if is_nowhere(&error) => Trouble::Unreachable(says("no server can be reached")),
            ureq::Error::ConnectionFailed | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                Trouble::Unreachable(says("no server can be reached"))
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                let failure = Failure::of_asker(format!("{:?} is not the address of a server", self.server));
                Trouble::Hopeless(failure.hint("write it like http://127.0.0.1:7878"))
            }
            other => Trouble::Broken(format!("the connection to {} broke: {other}", self.server)),
        }
    }
}

/// Whether a URL names a host, and a port that there can be. Without this check a port of 99999 would become 80.
fn is_address(server: &str) -> bool {
    let Ok(uri) = server.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority().filter(|_| uri.query().is_none()) else { return false };
    let after_host = authority.as_str().rsplit(['@', ']']).next().unwrap_or_default();
    let names_port = after_host.contains(':');
    let has_host = !authority.host().is_empty() && !authority.as_str().contains('@');
    has_host && (!names_port || authority.port_u16().is_some_and(|port| port > 0))
}

/// Whether a name could not be resolved. The standard library has no kind for that, only words.
fn is_unknown_host(error: &std::io::Error) -> bool {
    error.raw_os_error().is_none() && error.to_string().contains("lookup address")
}

/// Whether there is no way to an address at all.
fn is_nowhere(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::PermissionDenied
    )
}

impl Trouble {
    /// Whether the same request may well be answered a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Trouble::Unreachable(_) | Trouble::Broken(_) => true,
            Trouble::Refused(problem) => problem.status == 503 && problem.document.text("status") != Some("halted"),
            Trouble::Hopeless(_) => false,
        }
    }

    /// The status of the server's no.
    pub fn status(&self) -> Option<u16> {
        match self {
            Trouble::Refused(problem) => Some(problem.status),
            Trouble::Unreachable(_) | Trouble::Broken(_) | Trouble::Hopeless(_) => None,
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Unreachable(message) => {
                Failure::of_asker(message).hint("start one with `daybook serve`, or name another with --server")
            }
            Trouble::Broken(message) => Failure::ours(message).hint("`daybook status` says how the server is"),
            Trouble::Refused(problem) => problem.into(),
            Trouble::Hopeless(failure) => failure,
        }
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Stop {
        Failure::from(trouble).into()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        let document = &problem.document;
        let said = document.text("detail").or(document.text("title")).or(document.text("message"));
        let message = said.map_or_else(|| format!("the server answered with status {}", problem.status), str::to_owned);
        let code = document.text("code");
        let failure = if problem.status >= 500 { Failure::ours(message) } else { Failure::of_asker(message) };
        let details = document.list("errors").iter().map(detail_of).collect();
        let hint = document.text("hint").map(str::to_owned).or_else(|| hint_for(problem.status, code, document));
        Failure { details, hint, ..failure }
    }
}

fn detail_of(error: &Document) -> String {
    let place = error.text("pointer").filter(|pointer| !pointer.is_empty()).unwrap_or("the body");
    format!("{place}: {}", error.text("message").unwrap_or("is wrong"))
}

/// The next step where the server does not give one.
fn hint_for(status: u16, code: Option<&str>, document: &Document) -> Option<String> {
    match (status, code) {
        (401, _) => Some("give a token with --token or DAYBOOK_TOKEN".into()),
        (404, Some("job_not_found")) => Some("`daybook jobs ls` lists the jobs that are there".into()),
        (409, Some("unique_conflict")) => {
            document.text("job_id").map(|holder| format!("`daybook jobs get {holder}` shows the job that has the key"))
        }
        (503, _) => Some("try again in a moment; `daybook status` says how the server is".into()),
        (507, _) => Some("free some space on the server's disk; `daybook status` says how it is".into()),
        _ => None,
    }
}

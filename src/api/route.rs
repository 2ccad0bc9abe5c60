//! The route table: which method and path is answered by which handler, and what both mean.
//!
//! One table is the routes, the 405s with their `Allow`, the labels of the metrics and the OpenAPI document, so they
//! cannot disagree. It matches; it never answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use warp::http::Method;
use warp::reply::Response;

use crate::api::context::ApiContext;
use crate::api::door::Door;
use crate::api::error::ApiError;
use crate::api::query::{Parameter, has_broken_escape, unescape};
use crate::api::request::Request;

/// How long a request may take before it is answered 503 `request_timeout`.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// What a handler gives back once it is done.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;

/// Who answers.
pub enum Handler {
    /// Once the log was replayed.
    Ready(Box<dyn Fn(Arc<ApiContext>, Request) -> Answer + Send + Sync>),
    /// At any time, also while the server starts.
    Always(fn(&Door, &Request) -> Response),
    /// The dashboard, at any time. Its query is its own.
    Page,
}

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a request or an answer carries.
#[derive(Clone, Copy)]
pub enum Content {
    Nothing,
    /// JSON of a shape.
    Json(SchemaOf),
    /// Something else, by its media type.
    Bytes(&'static str),
}

/// What is sent with a request.
#[derive(Clone, Copy)]
pub struct BodyDoc {
    pub content: Content,
    pub required: bool,
}

/// One answer that a route gives when all went well.
#[derive(Clone, Copy)]
pub struct AnswerDoc {
    pub status: u16,
    pub description: &'static str,
    pub content: Content,
    /// Headers that it carries beside those of every answer.
    pub headers: &'static [&'static str],
}

/// A method and a path, who answers them, and what they mean.
pub struct Route {
    pub method: Method,
    /// With `{name}` for a part that varies.
    pub path: &'static str,
    /// The name of the operation for generated clients; none: a page, which is not part of the interface.
    pub name: Option<&'static str>,
    pub summary: &'static str,
    /// What there is to know beside the summary.
    pub explanation: &'static str,
    /// The area to which it belongs.
    pub area: &'static str,
    pub parameters: &'static [Parameter],
    /// Request headers that mean something here.
    pub headers: &'static [(&'static str, &'static str)],
    pub body: Option<BodyDoc>,
    pub answers: Vec<AnswerDoc>,
    /// The codes of the errors that belong to this route.
    pub errors: &'static [&'static str],
    /// None for what streams.
    pub time_max: Option<Duration>,
    /// Whether it answers pages of other origins itself, when they want a connection of another sort.
    pub judges_origins: bool,
    pub handler: Handler,
}

impl Route {
    /// A route that is answered by an asynchronous function of the context and the request.
    pub fn new<F, A>(method: Method, path: &'static str, handler: F) -> Route
    where
        F: Fn(Arc<ApiContext>, Request) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Response, ApiError>> + Send + 'static,
    {
        let boxed = move |ctx, request| -> Answer { Box::pin(handler(ctx, request)) };
        Route::with(method, path, Handler::Ready(Box::new(boxed)))
    }

    /// A route that is answered at any time, also while the server starts.
    pub fn always(path: &'static str, handler: fn(&Door, &Request) -> Response) -> Route {
        Route::with(Method::GET, path, Handler::Always(handler))
    }

    /// A page of the dashboard.
    pub fn page(path: &'static str) -> Route {
        Route::with(Method::GET, path, Handler::Page)
    }

    fn with(method: Method, path: &'static str, handler: Handler) -> Route {
        Route {
            method,
            path,
            name: None,
            summary: "",
            explanation: "",
            area: "",
            parameters: &[],
            headers: &[],
            body: None,
            answers: Vec::new(),
            errors: &[],
            time_max: Some(REQUEST_TIME_MAX),
            judges_origins: false,
            handler,
        }
    }

    /// Names the operation and says what it does.
    pub fn named(self, name: &'static str, summary: &'static str) -> Route {
        Route { name: Some(name), summary, ..self }
    }

    /// Says what there is to know beside the summary.
    pub fn explained(self, explanation: &'static str) -> Route {
        Route { explanation, ..self }
    }

    /// Puts it into an area.
    pub fn within(self, area: &'static str) -> Route {
        Route { area, ..self }
    }

    /// Declares the query parameters; others are refused.
    pub fn takes(self, parameters: &'static [Parameter]) -> Route {
        Route { parameters, ..self }
    }

    /// Declares request headers.
    pub fn reads(self, headers: &'static [(&'static str, &'static str)]) -> Route {
        Route { headers, ..self }
    }

    /// Declares the JSON body.
    pub fn body<T: JsonSchema>(self, required: bool) -> Route {
        Route { body: Some(BodyDoc { content: Content::Json(schema_of::<T>), required }), ..self }
    }

    /// Declares a body of bytes.
    pub fn body_of_bytes(self) -> Route {
        Route { body: Some(BodyDoc { content: Content::Bytes("*/*"), required: true }), ..self }
    }

    /// Declares an answer in JSON.
    pub fn answers<T: JsonSchema>(self, status: u16, description: &'static str) -> Route {
        self.answer(status, description, Content::Json(schema_of::<T>))
    }

    /// Declares an answer of another sort.
    pub fn answer(mut self, status: u16, description: &'static str, content: Content) -> Route {
        self.answers.push(AnswerDoc { status, description, content, headers: &[] });
        self
    }

    /// Declares headers of the answer that was declared last.
    ///
    /// # Panics
    /// When none was.
    pub fn with_headers(mut self, headers: &'static [&'static str]) -> Route {
        self.answers.last_mut().expect("an answer is declared before its headers").headers = headers;
        self
    }

    /// Declares the errors that belong to this route.
    pub fn fails(self, errors: &'static [&'static str]) -> Route {
        Route { errors, ..self }
    }

    /// Takes the limit of time away.
    pub fn streams(self) -> Route {
        Route { time_max: None, ..self }
    }

    /// Lets pages of other origins in: a browser does not tell them the status of a refused upgrade.
    pub fn judging_origins(self) -> Route {
        Route { judges_origins: true, ..self }
    }

    /// The parts of the path that vary, if this path fits and each of them is text.
    fn matches(&self, path: &str) -> Option<Vec<(&'static str, String)>> {
        let mut params = Vec::new();
        let (mut wanted, mut given) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return Some(params),
                (Some(wanted), Some(given)) => match wanted.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
                    Some(name) if !given.is_empty() => params.push((name, unescape(given)?)),
                    Some(_) => return None,
                    None if wanted == given => {}
                    None => return None,
                },
                (Some(_), None) | (None, Some(_)) => return None,
            }
        }
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// All routes. The first that fits answers, so what is asked most stands first.
pub struct Table {
    routes: Vec<Route>,
}

/// What the table says of a request.
pub enum Match<'a> {
    Found {
        route: &'a Route,
        params: Vec<(&'static str, String)>,
    },
    /// The path is there for other methods: these.
    OtherMethods(String),
    /// The path has escapes that stand for no text, so that it names nothing.
    Unreadable,
    Nothing,
}

impl Table {
    /// Makes the table.
    pub fn new(routes: Vec<Route>) -> Table {
        Table { routes }
    }

    /// All routes in order.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Finds who answers. `HEAD` is answered by whoever answers `GET`.
    pub fn find(&self, method: &Method, path: &str) -> Match<'_> {
        if path.contains('%') && (has_broken_escape(path) || unescape(path).is_none()) {
            return Match::Unreadable;
        }
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let mut allowed = Vec::new();
        for route in &self.routes {
            let Some(params) = route.matches(path) else { continue };
            if route.method == *method {
                return Match::Found { route, params };
            }
            allowed.push(route.method.as_str());
            if route.method == Method::GET {
                allowed.push("HEAD");
            }
        }
        if allowed.is_empty() { Match::Nothing } else { Match::OtherMethods(allowed.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let answer = |_, _| async { Err(ApiError::new("internal", "")) };
        let routes = [
            (Method::GET, "/api/jobs/{id}"),
            (Method::PATCH, "/api/jobs/{id}"),
            (Method::POST, "/api/jobs/bulk"),
            (Method::PUT, "/api/jobs/{id}/files/{name}"),
        ];
        Table::new(routes.map(|(method, path)| Route::new(method, path, answer)).into())
    }

    fn found(method: Method, path: &str) -> Option<(&'static str, Vec<String>)> {
        match table().find(&method, path) {
            Match::Found { route, params } => Some((route.path, params.into_iter().map(|(_, value)| value).collect())),
            Match::OtherMethods(_) | Match::Unreadable | Match::Nothing => None,
        }
    }

    #[test]
    fn a_path_leads_to_its_route_and_gives_its_parts_unescaped() {
        assert_eq!(found(Method::GET, "/api/jobs/7"), Some(("/api/jobs/{id}", vec!["7".into()])));
        assert_eq!(found(Method::HEAD, "/api/jobs/7"), Some(("/api/jobs/{id}", vec!["7".into()])));
        let file = found(Method::PUT, "/api/jobs/7/files/a%20b%2F.png").expect("fits");
        assert_eq!(file.1, ["7", "a b/.png"]);
        assert_eq!(found(Method::POST, "/api/jobs/bulk"), Some(("/api/jobs/bulk", vec![])));
        for path in ["/api/jobs", "/api/jobs/", "/api/jobs/7/", "/api/jobs/7/files"] {
            assert_eq!(found(Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn a_path_whose_escapes_stand_for_no_text_names_nothing() {
        for path in ["/api/jobs/%ff", "/api/jobs/7/files/%C3", "/api/jobs/7/files/100%", "/%zz"] {
            assert!(matches!(table().find(&Method::PUT, path), Match::Unreadable), "{path}");
        }
    }

    #[test]
    fn a_path_for_other_methods_names_them() {
        assert!(matches!(table().find(&Method::DELETE, "/api/jobs/7"),
            Match::OtherMethods(allow) if allow == "GET, HEAD, PATCH"));
        assert!(matches!(table().find(&Method::DELETE, "/nowhere"), Match::Nothing));
    }
}

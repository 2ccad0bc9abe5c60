//! Workers elsewhere, as anybody would write them: one over WebSocket, one over plain HTTP. Every frame that is said or
//! heard is held against the published schemas, every answer against the description.

use std::collections::VecDeque;
use std::net::TcpStream;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use super::TestServer;
use super::server::{Answer, PATIENCE};
use super::shapes::Shapes;

const JSON: (&str, &str) = ("content-type", "application/json");

/// A worker over WebSocket, one frame after the other.
pub struct Socket {
    socket: WebSocket<TcpStream>,
    frames: VecDeque<Value>,
    pub session: String,
    /// The most frames that came in one message.
    pub joined_max: usize,
}

impl Socket {
    /// Connects, with these headers beside the subprotocol.
    pub fn try_connect(server: &TestServer, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
        let mut request = format!("ws://{}/api/worker", server.address()).into_client_request().expect("a request");
        let protocol = HeaderValue::from_static("daybook.worker.v1");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(server.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        match tungstenite::client(request, stream) {
            Ok((socket, answer)) => {
                assert_eq!(answer.headers()["sec-websocket-protocol"], "daybook.worker.v1");
                Ok(Socket { socket, frames: VecDeque::new(), session: String::new(), joined_max: 0 })
            }
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("the server answers, and not {error}"),
        }
    }

    pub fn connect(server: &TestServer) -> Socket {
        Socket::try_connect(server, &[]).expect("the server speaks WebSocket")
    }

    /// A worker for a kind, which has said how many jobs it wants.
    pub fn ready(server: &TestServer, kind: &str, slots: usize) -> Socket {
        Socket::hello(server, kind, slots, Value::Null)
    }

    /// A worker that was there before, and names what it holds.
    pub fn resume(server: &TestServer, kind: &str, session: &str, leases: &[&Lease]) -> Socket {
        let leases: Vec<Value> = leases.iter().map(|lease| lease.named()).collect();
        Socket::hello(server, kind, 0, json!({"session": session, "leases": leases}))
    }

    fn hello(server: &TestServer, kind: &str, slots: usize, resume: Value) -> Socket {
        let mut socket = Socket::connect(server);
        let hello = json!({"type": "hello", "name": "ws", "kinds": [kind], "queues": null, "resume": resume});
        socket.say_all(&[hello, json!({"type": "ready", "slots": slots})]);
        let welcome = socket.hear("welcome");
        socket.session = welcome["session"].as_str().expect("an id").to_owned();
        socket
    }

    pub fn say(&mut self, frame: Value) {
        Shapes::of_frames().check("worker-to-server.json", &frame);
        self.say_text(&frame.to_string());
    }

    pub fn say_all(&mut self, frames: &[Value]) {
        frames.iter().for_each(|frame| Shapes::of_frames().check("worker-to-server.json", frame));
        self.say_text(&json!(frames).to_string());
    }

    pub fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the server reads");
    }

    /// The next frame but pings, which are answered.
    pub fn next(&mut self) -> Value {
        loop {
            while let Some(frame) = self.frames.pop_front() {
                Shapes::of_frames().check("server-to-worker.json", &frame);
                if frame["type"] != "ping" {
                    return frame;
                }
                self.say(json!({"type": "pong"}));
            }
            match self.socket.read().expect("the server speaks") {
                Message::Text(text) => match serde_json::from_str(&text).expect("is JSON") {
                    Value::Array(frames) => self.frames.extend(frames),
                    frame => self.frames.push_back(frame),
                },
                Message::Close(close) => panic!("the server closed: {close:?}"),
                _ => {}
            }
            self.joined_max = self.joined_max.max(self.frames.len());
        }
    }

    /// The next frame, which must be of this type.
    #[track_caller]
    pub fn hear(&mut self, frame_type: &str) -> Value {
        let frame = self.next();
        assert_eq!(frame["type"], frame_type, "{frame}");
        frame
    }

    /// Waits for a job.
    pub fn job(&mut self) -> Lease {
        Lease::of(&self.hear("job"))
    }

    /// The code with which the server closes. Whatever comes before is passed over.
    pub fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(close) = self.socket.read().expect("the server closes in order") {
                return close.expect("with a code").code.into();
            }
        }
    }

    /// The connection breaks.
    pub fn cut(self) {
        drop(self.socket);
    }

    /// Closes in order, and waits until the server has.
    pub fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
        self.socket.close(Some(frame)).expect("the server reads");
        while self.socket.read().is_ok() {}
    }
}

/// A job and its token.
#[derive(Debug, Clone)]
pub struct Lease {
    pub job: String,
    pub token: String,
    pub frame: Value,
}

impl Lease {
    pub fn of(frame: &Value) -> Lease {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Lease { job: text(&frame["job"]["id"]), token: text(&frame["lease"]["token"]), frame: frame.clone() }
    }

    pub fn named(&self) -> Value {
        json!({"job_id": self.job, "token": self.token})
    }

    /// A frame about the job.
    pub fn frame(&self, frame_type: &str, more: Value) -> Value {
        let mut frame = more;
        frame["type"] = json!(frame_type);
        frame["job_id"] = json!(self.job);
        frame["token"] = json!(self.token);
        frame
    }

    /// A call about the job, over HTTP.
    pub fn call(&self, server: &TestServer, name: &str, body: &Value) -> Answer {
        let headers = [JSON, ("lease-token", self.token.as_str())];
        server.ask("POST", &format!("/api/jobs/{}/{name}", self.job), &headers, body.to_string().as_bytes())
    }
}

/// A worker over plain HTTP.
pub struct Caller<'a> {
    pub server: &'a TestServer,
    pub session: String,
}

impl<'a> Caller<'a> {
    pub fn register(server: &'a TestServer, kind: &str, concurrency: usize) -> Caller<'a> {
        let worker = json!({"name": "http", "kinds": [kind], "queues": null, "concurrency": concurrency});
        let registered = server.post("/api/workers", &worker).ok(201);
        Caller { server, session: registered["session"].as_str().expect("an id").to_owned() }
    }

    pub fn claim(&self, max: usize, wait_s: f64) -> Answer {
        self.server.post("/api/claim", &json!({"session": self.session, "max": max, "wait_s": wait_s}))
    }

    /// Waits for a job.
    pub fn job(&self) -> Lease {
        let claimed = self.claim(1, 50.0).ok(200);
        Shapes::of_frames().check("server-to-worker.json", &claimed["jobs"][0]);
        Lease::of(&claimed["jobs"][0])
    }

    pub fn beat(&self, leases: &[&Lease]) -> Answer {
        let leases: Vec<Value> = leases.iter().map(|lease| lease.named()).collect();
        self.server.post("/api/heartbeat", &json!({"session": self.session, "leases": leases}))
    }

    pub fn close(&self) {
        let path = format!("/api/workers/{}", self.session);
        assert_eq!(self.server.ask("DELETE", &path, &[], b"").status, 204);
    }
}

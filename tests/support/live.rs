//! A live page, as anybody would write one. Every frame that is said or heard is held against the published schemas.

use std::collections::{BTreeMap, VecDeque};
use std::net::TcpStream;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use super::TestServer;
use super::server::PATIENCE;
use super::shapes::Shapes;

/// One connection.
pub struct Page {
    socket: WebSocket<TcpStream>,
    /// What came before it was waited for.
    kept: VecDeque<Value>,
    /// Whether what comes is held against the schemas.
    is_checked: bool,
    pub status: Value,
}

impl Page {
    /// Connects, with these headers beside the subprotocol.
    pub fn try_connect(address: &str, headers: &[(&'static str, &str)]) -> Page {
        let mut request = format!("ws://{address}/api/live").into_client_request().expect("a request");
        let protocol = HeaderValue::from_static("daybook.v1");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let (socket, answer) = tungstenite::client(request, stream).expect("the server speaks WebSocket");
        assert_eq!(answer.headers()["sec-websocket-protocol"], "daybook.v1");
        Page { socket, kept: VecDeque::new(), is_checked: true, status: Value::Null }
    }

    pub fn connect(server: &TestServer) -> Page {
        Page::at(server.address())
    }

    /// Connects and hears the status.
    pub fn at(address: &str) -> Page {
        let mut page = Page::try_connect(address, &[]);
        page.status = page.hear("status");
        page
    }

    /// Connects and hears the status; none if the server is not there, or goes at this very moment. Where there are many
    /// pages, the schemas would cost more than the server: not all are held against them.
    pub fn open(address: &str, is_checked: bool) -> Option<Page> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let (socket, _) = tungstenite::client(format!("ws://{address}/api/live"), stream).ok()?;
        let mut page = Page { socket, kept: VecDeque::new(), is_checked, status: Value::Null };
        page.status = page.receive().ok().filter(|frame| frame["type"] == "status")?;
        Some(page)
    }

    /// Subscribes, if the connection is still there.
    pub fn try_subscribe(&mut self, id: &str, topic: &str, filter: Value, since: Value) -> Result<(), ()> {
        let frame = json!({"type": "subscribe", "id": id, "topic": topic, "filter": filter, "since": since});
        Shapes::of_live().check("client-to-server.json", &frame);
        self.socket.send(Message::text(frame.to_string())).map_err(|_| ())
    }

    pub fn epoch(&self) -> &Value {
        &self.status["epoch"]
    }

    pub fn say(&mut self, frame: Value) {
        Shapes::of_live().check("client-to-server.json", &frame);
        self.say_text(&frame.to_string());
    }

    pub fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the server reads");
    }

    pub fn subscribe(&mut self, id: &str, topic: &str, filter: Value, since: Value) {
        self.say(json!({"type": "subscribe", "id": id, "topic": topic, "filter": filter, "since": since}));
    }

    /// The next frame but pings, which are answered.
    pub fn next(&mut self) -> Value {
        match self.kept.pop_front() {
            Some(frame) => frame,
            None => self.receive().unwrap_or_else(|code| panic!("the server closed with {code}")),
        }
    }

    /// The next frame from the connection, or the code with which it was closed; 1006 if it was not.
    pub fn receive(&mut self) -> Result<Value, u16> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).expect("is JSON");
                    if self.is_checked {
                        Shapes::of_live().check("server-to-client.json", &frame);
                    }
                    if frame["type"] != "ping" {
                        return Ok(frame);
                    }
                    if self.socket.send(Message::text("{\"type\":\"pong\"}")).is_err() {
                        return Err(1006);
                    }
                }
                Ok(Message::Close(close)) => return Err(close.map_or(1005, |close| close.code.into())),
                Ok(_) => {}
                Err(_) => return Err(1006),
            }
        }
    }

    /// The next frame, which must be of this type.
    #[track_caller]
    pub fn hear(&mut self, frame_type: &str) -> Value {
        let frame = self.next();
        assert_eq!(frame["type"], frame_type, "{frame}");
        frame
    }

    /// The next frame of this type; others before it stay.
    pub fn await_frame(&mut self, frame_type: &str) -> Value {
        if let Some(place) = self.kept.iter().position(|frame| frame["type"] == frame_type) {
            return self.kept.remove(place).expect("it is there");
        }
        loop {
            let frame = self.receive().unwrap_or_else(|code| panic!("no {frame_type}, but a close with {code}"));
            if frame["type"] == frame_type {
                return frame;
            }
            self.kept.push_back(frame);
        }
    }

    /// The code with which the server closes when nothing is answered any more.
    pub fn silent_close_code(&mut self) -> u16 {
        loop {
            match self.socket.read() {
                Ok(Message::Close(close)) => return close.map_or(1005, |close| close.code.into()),
                Ok(_) => {}
                Err(_) => return 1006,
            }
        }
    }

    /// The code with which the server closes. Whatever comes before is passed over.
    pub fn close_code(&mut self) -> u16 {
        loop {
            if let Err(code) = self.receive() {
                return code;
            }
        }
    }
}

/// What a subscriber builds from the frames of one subscription, and where it stands. A hole fails the test.
#[derive(Debug, Default)]
pub struct Mirror {
    pub rows: BTreeMap<String, Value>,
    pub seqs: Vec<u64>,
    /// The lines of a log, from the first, without holes.
    pub lines: Vec<String>,
    /// The last seq that was seen, and the epoch of the connection.
    pub at: Option<(Value, u64)>,
    pub resets: usize,
    pub fell_behind: usize,
    pub is_live: bool,
    is_whole: bool,
}

impl Mirror {
    /// Where to go on from.
    pub fn since(&self) -> Value {
        match &self.at {
            Some((epoch, seq)) if self.is_whole => json!({"epoch": epoch, "seq": seq}),
            _ => Value::Null,
        }
    }

    /// Takes a frame in.
    pub fn take(&mut self, epoch: &Value, frame: &Value) {
        let seq = frame["seq"].as_u64();
        if let Some(prev) = frame["prev"].as_u64() {
            let (_, at) = self.at.as_ref().expect("a frame with a prev follows another");
            assert_eq!(prev, *at, "a silent gap: {frame}");
        }
        match frame["type"].as_str().expect("a type") {
            "subscribed" => {
                self.is_live = false;
                if frame["mode"] != "resume" {
                    self.begin_anew();
                    self.is_whole = frame["mode"] == "live";
                    self.at = Some((epoch.clone(), seq.expect("a number")));
                }
                return;
            }
            "reset" => {
                self.resets += 1;
                self.begin_anew();
            }
            "snapshot" => {
                // Of queues and workers always the whole, also in the middle.
                if frame["jobs"].is_null() {
                    self.rows.clear();
                }
                self.is_whole = frame["more"] == false;
                self.is_live = self.is_whole;
                self.keep(frame);
            }
            "changes" => self.keep(frame),
            "events" => {
                let events = frame["events"].as_array().expect("events");
                self.seqs.extend(events.iter().map(|event| event["seq"].as_u64().expect("a number")));
            }
            "caught_up" => self.is_live = true,
            "fell_behind" => {
                self.fell_behind += 1;
                self.is_live = false;
                assert_eq!(seq, self.at.as_ref().map(|(_, at)| *at), "{frame}");
            }
            "logs" => {
                for line in frame["lines"].as_array().expect("lines") {
                    assert_eq!(line["n"], self.lines.len() as u64 + 1, "each line once, in order");
                    self.lines.push(line["text"].as_str().expect("a text").to_owned());
                }
                return;
            }
            "bookmark" => {}
            "progress" => return,
            other => panic!("{other} is not for a mirror: {frame}"),
        }
        self.at = Some((epoch.clone(), seq.expect("a number")));
    }

    fn begin_anew(&mut self) {
        self.rows.clear();
        self.seqs.clear();
        self.lines.clear();
        self.is_whole = false;
    }

    fn keep(&mut self, frame: &Value) {
        let names = [("jobs", "id"), ("queues", "name"), ("workers", "session")];
        let (rows, name) = names.into_iter().find(|(rows, _)| frame[rows].is_array()).expect("rows");
        for row in frame[rows].as_array().expect("rows") {
            let id = row[name].as_str().expect("a name").to_owned();
            // Rows without a seq are as new as their frame.
            let is_newer = self.rows.get(&id).is_none_or(|old| old["seq"].as_u64() <= row["seq"].as_u64());
            if is_newer {
                self.rows.insert(id, row.clone());
            }
        }
        for id in frame["left"].as_array().into_iter().flatten() {
            self.rows.remove(id.as_str().expect("an id"));
        }
    }
}

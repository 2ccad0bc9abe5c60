//! A WebSocket over which shared bytes go as they are: frames that were written once for thousands are neither copied nor
//! looked at again, and those that wait together go in one write. Between them the library says what it has to say itself:
//! pongs and the close. Must never let the one begin in the middle of the other.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::{Sink, SinkExt, Stream, StreamExt};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The most pieces in one write.
const PIECES_MAX: usize = 16;
/// A whole text, in one frame, from a server.
const TEXT: u8 = 0x81;

/// Writes a text down as one frame, as a server sends it (RFC 6455, section 5.2).
pub fn write_text(text: &[u8], line: &mut Vec<u8>) {
    write_head(text.len(), line);
    line.extend_from_slice(text);
}

/// A text as one frame, without a copy of it.
pub fn text_pieces(text: Bytes) -> Vec<Bytes> {
    let mut head = Vec::new();
    write_head(text.len(), &mut head);
    vec![head.into(), text]
}

fn write_head(length: usize, line: &mut Vec<u8>) {
    line.push(TEXT);
    match length {
        0..=125 => line.push(length as u8),
        126..=0xffff => {
            line.push(126);
            line.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            line.push(127);
            line.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// One connection. Whoever reads and whoever writes are parts of one task, and take turns.
pub struct SharedLine<S> {
    socket: Mutex<WebSocketStream<Beneath<S>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> SharedLine<S> {
    /// The server's side of a connection.
    pub async fn new(io: S, config: WebSocketConfig) -> SharedLine<S> {
        let beneath = Beneath { inner: io, pieces: VecDeque::new() };
        let socket = WebSocketStream::from_raw_socket(beneath, Role::Server, Some(config)).await;
        SharedLine { socket: Mutex::new(socket) }
    }

    /// Messages as the library reads and writes them.
    pub fn messages(&self) -> Messages<'_, S> {
        Messages { line: self }
    }

    /// Sends whole frames as they are, after whatever was said before.
    ///
    /// # Errors
    /// The connection is broken or closed.
    pub async fn send(&self, pieces: Vec<Bytes>) -> Result<(), Error> {
        let mut pieces = Some(pieces);
        std::future::poll_fn(|cx| {
            let mut socket = self.socket.lock();
            if pieces.is_some() {
                ready!(socket.poll_flush_unpin(cx))?;
                let pieces = pieces.take().into_iter().flatten();
                socket.get_mut().pieces.extend(pieces.filter(|piece| !piece.is_empty()));
            }
            socket.get_mut().poll_drain(cx).map_err(Error::Io)
        })
        .await
    }
}

/// What the library reads and writes. See [`SharedLine::messages`].
pub struct Messages<'a, S> {
    line: &'a SharedLine<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Messages<'_, S> {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.line.socket.lock().poll_next_unpin(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for Messages<'_, S> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.line.socket.lock().poll_ready_unpin(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.line.socket.lock().start_send_unpin(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.line.socket.lock().poll_flush_unpin(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.line.socket.lock().poll_close_unpin(cx)
    }
}

/// The connection under the library: nothing of the library's goes out before the pieces that are under way.
struct Beneath<S> {
    inner: S,
    pieces: VecDeque<Bytes>,
}

impl<S: AsyncWrite + Unpin> Beneath<S> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let count = self.pieces.len().min(PIECES_MAX);
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                *slice = IoSlice::new(piece);
            }
            let mut written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            while let Some(piece) = self.pieces.front_mut() {
                let now = written.min(piece.len());
                piece.advance(now);
                written -= now;
                if !piece.is_empty() {
                    break;
                }
                self.pieces.pop_front();
            }
        }
        // Thousands of connections are idle; none keeps the room that it needed once.
        self.pieces = VecDeque::new();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Beneath<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Beneath<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    fn frame(text: &str) -> Bytes {
        let mut line = Vec::new();
        write_text(text.as_bytes(), &mut line);
        line.into()
    }

    /// A line whose other end takes so many bytes before somebody reads.
    async fn line(room: usize) -> (SharedLine<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (ours, theirs) = duplex(room);
        let line = SharedLine::new(ours, WebSocketConfig::default()).await;
        (line, WebSocketStream::from_raw_socket(theirs, Role::Client, None).await)
    }

    #[tokio::test]
    async fn a_frame_of_each_length_is_read_as_it_was_written() {
        let (line, mut client) = line(64).await;
        let texts: Vec<String> = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000].map(|length| "x".repeat(length)).into();
        let pieces = texts.iter().map(|text| frame(text)).collect();
        let sending = tokio::spawn(async move { line.send(pieces).await });
        for text in texts {
            let message = client.next().await.expect("a message").expect("whole");
            assert_eq!(message.to_text().expect("text").len(), text.len());
        }
        sending.await.expect("no panic").expect("it was sent");
    }

    #[tokio::test]
    async fn a_pong_waits_for_the_end_of_the_frame_that_is_under_way() {
        let (line, mut client) = line(16).await;
        let text = "y".repeat(1_000);
        let reading = async {
            let mut messages = line.messages();
            while let Some(Ok(_)) = messages.next().await {}
        };
        let sending = line.send(vec![frame(&text), frame(&text)]);
        let talking = async {
            // Nobody has read yet, so the first frame is stuck in its middle when the ping comes.
            client.send(Message::Ping("who".into())).await.expect("it reads");
            for _ in 0..2 {
                let message = client.next().await.expect("a message").expect("whole");
                assert_eq!(message.to_text().expect("text"), text);
            }
            let message = client.next().await.expect("a message").expect("whole");
            assert_eq!(message, Message::Pong("who".into()));
            drop(client);
        };
        let (sent, (), ()) = futures::join!(sending, talking, reading);
        sent.expect("it was sent");
    }

    #[tokio::test]
    async fn who_asks_without_end_and_reads_nothing_costs_a_few_pongs() {
        let (ours, theirs) = duplex(64);
        let line = SharedLine::new(ours, crate::api::websocket::config(1024, 1024)).await;
        let mut client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        let pings = 10_000;
        let reading = async {
            let mut messages = line.messages();
            while let Some(Ok(_)) = messages.next().await {}
        };
        let asking = async {
            for _ in 0..pings {
                client.send(Message::Ping("x".repeat(100).into())).await.expect("it reads on");
            }
            let mut pongs = 0;
            client.close(None).await.expect("it reads on");
            loop {
                match client.next().await.expect("a close comes last").expect("whole") {
                    Message::Close(_) => return pongs,
                    message => pongs += usize::from(message.is_pong()),
                }
            }
        };
        let pongs: usize = tokio::select! {
            pongs = asking => pongs,
            () = async { reading.await; std::future::pending().await } => unreachable!("it pends"),
        };
        assert!(pongs > 0 && pongs < pings / 100, "{pongs}");
    }

    #[tokio::test]
    async fn many_small_pieces_go_in_one_write() {
        let (ours, mut theirs) = duplex(1024);
        let line = SharedLine::new(ours, WebSocketConfig::default()).await;
        line.send((0..PIECES_MAX).map(|_| frame("z")).collect()).await.expect("there is room");
        let mut read = vec![0; 1024];
        assert_eq!(theirs.read(&mut read).await.expect("it was written"), PIECES_MAX * 3);
    }

    #[tokio::test]
    async fn a_line_whose_other_end_is_gone_says_so() {
        let (line, client) = line(16).await;
        drop(client);
        assert!(line.send(vec![frame(&"x".repeat(100))]).await.is_err());
    }
}

//! One signal to stop, and one to read the configuration again: made from the system's signals, awaited by whoever
//! has something to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Says when to stop. Cheap to clone; every clone hears it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    stopping: watch::Receiver<bool>,
}

/// Makes everybody stop.
#[derive(Debug)]
pub struct Trigger {
    stopping: watch::Sender<bool>,
}

/// A signal and those who hear it.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger { stopping: sender }, Shutdown { stopping: receiver })
}

impl Trigger {
    /// Tells everybody to stop. A second time changes nothing.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

impl Shutdown {
    /// Waits until it is time to stop; also when nobody is left who could say so.
    pub async fn wait(mut self) {
        let _ = self.stopping.wait_for(|&stopping| stopping).await;
    }

    /// Whether it is time to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// What the system's signals ask of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT: end in order.
    Stop,
    /// SIGHUP: read kinds, queues and schedules again.
    Reload,
}

/// The system's signals, heard from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen; from now on the signals no longer end the process by themselves.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next request.
    pub async fn request(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.hangup.recv() => Request::Reload,
        }
    }
}

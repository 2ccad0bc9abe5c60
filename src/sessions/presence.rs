//! How it is known that a worker is there, and until when that is believed. Pure: moments come in as arguments.

use std::time::{Duration, Instant};

use crate::domain::event::WorkerLeftCause;

/// What tells that the worker of a session is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is a child process: the server watches the process and its pipes.
    Child,
    /// It has one connection at a time. Whatever comes over it renews all leases of the session.
    Socket {
        /// The number of its latest connection.
        connection: u64,
        /// Since when it has none.
        detached_at: Option<Instant>,
        /// When anything came over it last.
        heard_at: Instant,
    },
    /// It calls now and then. A call renews the session, and those leases only that it names.
    Calls {
        heard_at: Instant,
        /// Calls that wait for an answer: as long as there is one, the worker is there.
        open: usize,
    },
}

/// How long silence is borne.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// By a lease, and by the session of a worker that calls.
    pub lease: Duration,
    /// By the session of a worker whose connection broke.
    pub grace: Duration,
}

impl Presence {
    /// A worker whose first connection is about to be taken.
    pub fn socket(now: Instant) -> Presence {
        Presence::Socket { connection: 0, detached_at: Some(now), heard_at: now }
    }

    /// A worker that has called just now.
    pub fn calls(now: Instant) -> Presence {
        Presence::Calls { heard_at: now, open: 0 }
    }

    /// When the session ends if nothing is heard until then, and how.
    pub fn ends_at(&self, terms: Terms) -> Option<(Instant, WorkerLeftCause)> {
        match *self {
            Presence::Child | Presence::Calls { open: 1.., .. } => None,
            Presence::Socket { detached_at, .. } => Some((detached_at? + terms.grace, WorkerLeftCause::ConnectionLost)),
            Presence::Calls { heard_at, open: 0 } => Some((heard_at + terms.lease, WorkerLeftCause::LeaseExpired)),
        }
    }

    /// When a worker whose connection stands counts as silent if nothing is heard until then. It may hang, or be stopped:
    /// what it were granted it would lose again.
    pub fn falls_silent_at(&self, terms: Terms) -> Option<Instant> {
        match *self {
            Presence::Socket { detached_at: None, heard_at, .. } => Some(heard_at + terms.lease),
            // Without a connection nothing is granted, and one that calls asks for what it is granted.
            Presence::Socket { detached_at: Some(_), .. } | Presence::Child | Presence::Calls { .. } => None,
        }
    }

    /// How long a lease is borne that nothing renews. While a broken connection is borne, so are the leases that it held:
    /// they end with the session.
    pub fn bears_leases_for(&self, terms: Terms) -> Option<Duration> {
        match self {
            Presence::Socket { detached_at: Some(_), .. } => None,
            Presence::Child | Presence::Socket { detached_at: None, .. } | Presence::Calls { .. } => Some(terms.lease),
        }
    }

    /// Something was heard of the worker.
    pub fn heard(&mut self, now: Instant) {
        match self {
            Presence::Child => {}
            Presence::Socket { heard_at, .. } | Presence::Calls { heard_at, .. } => *heard_at = now,
        }
    }

    /// What was not heard until now is no silence, nor has a broken connection been away for long.
    pub fn count_from(&mut self, now: Instant) {
        self.heard(now);
        if let Presence::Socket { detached_at: Some(at), .. } = self {
            *at = now;
        }
    }

    /// Whether anything that is heard renews all leases.
    pub fn renews_all(&self) -> bool {
        matches!(self, Presence::Socket { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { lease: Duration::from_secs(30), grace: Duration::from_secs(10) };

    #[test]
    fn a_child_is_watched_and_never_given_up_for_its_silence() {
        assert_eq!(Presence::Child.ends_at(TERMS), None);
    }

    #[test]
    fn a_broken_connection_is_borne_for_the_grace_and_a_standing_one_for_ever() {
        let now = Instant::now();
        let broken = Presence::Socket { connection: 1, detached_at: Some(now), heard_at: now };
        assert_eq!(broken.ends_at(TERMS), Some((now + TERMS.grace, WorkerLeftCause::ConnectionLost)));
        let at_once = Terms { grace: Duration::ZERO, ..TERMS };
        assert_eq!(broken.ends_at(at_once), Some((now, WorkerLeftCause::ConnectionLost)));
        let standing = Presence::Socket { connection: 1, detached_at: None, heard_at: now };
        assert_eq!(standing.ends_at(TERMS), None);
        assert_eq!((standing.falls_silent_at(TERMS), broken.falls_silent_at(TERMS)), (Some(now + TERMS.lease), None));
    }

    #[test]
    fn a_lease_is_borne_for_its_length_and_with_a_broken_connection_as_long_as_that() {
        let now = Instant::now();
        for there in [Presence::calls(now), Presence::Socket { connection: 1, detached_at: None, heard_at: now }] {
            assert_eq!(there.bears_leases_for(TERMS), Some(TERMS.lease));
        }
        assert_eq!(
            Presence::Socket { connection: 1, detached_at: Some(now), heard_at: now }.bears_leases_for(TERMS),
            None
        );
    }

    #[test]
    fn a_worker_that_calls_is_there_for_a_lease_after_each_call_and_while_one_is_open() {
        let now = Instant::now();
        let mut presence = Presence::calls(now);
        assert_eq!(presence.ends_at(TERMS), Some((now + TERMS.lease, WorkerLeftCause::LeaseExpired)));
        let later = now + Duration::from_secs(7);
        presence.heard(later);
        assert_eq!(presence.ends_at(TERMS), Some((later + TERMS.lease, WorkerLeftCause::LeaseExpired)));
        assert_eq!(Presence::Calls { heard_at: now, open: 1 }.ends_at(TERMS), None);
    }
}

//! Bears with a server that goes away for a while: a restart ends no wait. A server that never answered is not waited
//! for.

use std::time::{Duration, Instant};

use crate::cli::client::{Answer, Trouble};
use crate::cli::failure::Failure;

/// How long a server may be away.
const AWAY_MAX: Duration = Duration::from_secs(120);
/// How long until it is tried again.
const AWAY_PAUSE: Duration = Duration::from_millis(250);

/// Which server it was, and since when it is away.
#[derive(Debug, Default)]
pub struct Patience {
    epoch: Option<String>,
    away_since: Option<Instant>,
}

impl Patience {
    /// Waits a moment if the trouble may pass; `tell` hears of it once. Else gives the failure.
    pub fn bear(&mut self, trouble: Trouble, tell: impl FnOnce(&str)) -> Result<(), Failure> {
        let was_away = self.away_since;
        if !self.has_seen() || !trouble.is_passing() {
            return Err(trouble.into());
        }
        if was_away.is_some_and(|since| since.elapsed() >= AWAY_MAX) {
            let failure = Failure::from(trouble);
            return Err(Failure::ours(format!("the server stayed away: {}", failure.message))
                .hint("the job does not mind: the same command goes on waiting later"));
        }
        if was_away.is_none() {
            self.away_since = Some(Instant::now());
            let why = Failure::from(trouble).message;
            tell(&format!("the server is away ({why}); waiting up to {} s for it", AWAY_MAX.as_secs()));
        }
        std::thread::sleep(AWAY_PAUSE);
        Ok(())
    }

    /// Notes an answer, and gives the news if the server was away or is another one than before.
    pub fn answered(&mut self, answer: &Answer) -> Option<&'static str> {
        let was_away = self.away_since.take().is_some();
        // A server in front of it may eat the header; one that answers may be waited for all the same.
        let epoch = answer.epoch.clone().unwrap_or_default();
        let before = self.epoch.replace(epoch.clone());
        match before {
            Some(before) if before != epoch => Some("the server was started again; the job is still there"),
            _ if was_away => Some("the server answers again"),
            _ => None,
        }
    }

    /// Whether there was an answer.
    pub fn has_seen(&self) -> bool {
        self.epoch.is_some()
    }
}

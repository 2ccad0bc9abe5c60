//! How many files the server may have open. A server that runs out of them cannot write its log, so it takes as many as
//! the system lets it have; its children get what it was started with, because programs rely on that being small.

use std::io;
use std::sync::OnceLock;

static STARTED_WITH: OnceLock<libc::rlimit> = OnceLock::new();

/// Takes all that the system allows, and tells how many that is.
pub fn raise() -> io::Result<u64> {
    let started_with = get()?;
    // Only the first is what the server was started with.
    let _ = STARTED_WITH.set(started_with);
    let raised = libc::rlimit { rlim_cur: started_with.rlim_max, ..started_with };
    set(&raised)?;
    Ok(raised.rlim_cur)
}

/// What children are to be started with; none if nothing was raised.
pub(crate) fn of_children() -> Option<libc::rlimit> {
    STARTED_WITH.get().copied()
}

/// Sets a limit of this process. Safe between fork and exec.
pub(crate) fn set(limit: &libc::rlimit) -> io::Result<()> {
    // SAFETY: setrlimit only reads the struct that it is given.
    let answer = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn get() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit only writes into the struct that it is given.
    let answer = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if answer == 0 { Ok(limit) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_allowed_is_taken_and_what_was_before_is_for_children() {
        let before = get().expect("a limit");
        assert_eq!(raise().expect("may be raised to what is allowed"), before.rlim_max);
        assert_eq!(get().expect("a limit").rlim_cur, before.rlim_max);
        assert_eq!(of_children().map(|limit| limit.rlim_cur), Some(before.rlim_cur));
        set(&before).expect("may be lowered");
    }
}

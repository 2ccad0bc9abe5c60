//! The binary: hands its arguments to `cli` and ends with the exit code that it is given.

use std::process::ExitCode;

fn main() -> ExitCode {
    share_one_heap();
    daybook::cli::run()
}

/// glibc gives each thread a heap of its own and returns little of it. With a million queued jobs one heap for all
/// takes a quarter less memory, and the measured rates are the same: the writer's path allocates in two threads.
fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets a parameter, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

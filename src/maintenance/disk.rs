//! Watches the free room on the data disk, so that new work is refused before the log cannot be written.

use std::io;
use std::time::Duration;

use crate::engine::Handle;

/// How often the free room is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks until it is dropped. `free` gives the free bytes, `min` is the least for new work; 0 turns the watch off.
pub async fn run(handle: Handle, min: u64, free: impl Fn() -> io::Result<u64> + Send + 'static) {
    if min == 0 {
        return;
    }
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut was_low = false;
    loop {
        looks.tick().await;
        let Ok(free) = free() else { continue };
        let is_low = free < min;
        handle.set_storage_low(is_low.then_some((free, min)));
        if is_low && !was_low {
            tracing::warn!(free, min, "too little free disk: new work is refused until there is more");
        }
        was_low = is_low;
    }
}

//! Holds the real server to its promises about disks: full ones, damaged ones, ones whose power was cut, and a clock
//! that jumps. Real processes in directories of their own; what needs root says so and is passed over without it.

mod clock;
mod damage;
mod full;
// The same mounts as in the log's own tests: a file of its own, without ties to the library.
#[path = "../../src/storage/tests/mounts.rs"]
mod mounts;
mod power;
mod reset;
mod server;

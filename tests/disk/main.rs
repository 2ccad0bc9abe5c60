//! Holds the real server to its promises about disks: full ones, damaged ones, ones whose power was cut, and a clock
//! that jumps. Real processes in directories of their own. What needs root says on stderr without it that it could not
//! run, and what it shows instead.

mod clock;
mod damage;
mod full;
mod lines;
#[allow(dead_code, reason = "the log's own tests use more of it")]
// The same mounts as in the log's own tests: a file of its own, without ties to the library.
#[path = "../../src/storage/tests/mounts.rs"]
mod mounts;
mod power;
mod reset;
#[allow(dead_code, reason = "each test program uses a part of what they share")]
#[path = "../support/mod.rs"]
mod support;

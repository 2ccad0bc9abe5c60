//! The binary: hands its arguments to `cli` and ends with the exit code that it is given.

fn main() {}

//! Sequences commands: the single writer (L1), group commit, receipts after durability (E2), halt on failure (L3).

pub mod handle;
pub mod receipt;

pub use handle::{Condition, Grants, Handle};
pub use receipt::{Granted, Receipt, SubmitError};

//! The promises of every [`crate::views::FinishedStore`].

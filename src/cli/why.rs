//! `why`: prints why a job is not running yet, or why it ended as it did.

use crate::cli::Asked;
use crate::cli::console::printable;
use crate::cli::failure::{Failure, Stop};
use crate::domain::id::JobId;

/// Asks the server and prints its sentence.
pub fn run(asked: &mut Asked<'_>, id: JobId) -> Result<(), Stop> {
    let document = asked.client.get(&format!("/api/jobs/{id}/why"), &[])?.document;
    if asked.json {
        return asked.console.data(&document.line());
    }
    let sentence = document.text("sentence").ok_or_else(|| Failure::ours("the server gave no sentence"))?;
    asked.console.data(&printable(sentence))
}

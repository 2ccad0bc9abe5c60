//! `status`: says how the server is: 0 if it takes jobs, 2 if it starts, has halted or lacks space.

use crate::cli::Asked;
use crate::cli::client::Trouble;
use crate::cli::document::Document;
use crate::cli::failure::{Failure, Stop};
use crate::domain::job::StateName;

/// Prints how the server is.
pub fn run(asked: &mut Asked<'_>) -> Result<(), Stop> {
    let health = match asked.client.get("/health", &[]) {
        Ok(answer) => answer.document,
        Err(Trouble::Refused(problem)) if problem.document.text("status").is_some() => problem.document,
        Err(trouble) => return Err(trouble.into()),
    };
    if asked.json {
        asked.console.data(&health.line())?;
    } else {
        print(asked, &health)?;
    }
    match health.text("status").unwrap_or_default() {
        "ok" => Ok(()),
        "starting" => {
            Err(Failure::ours("the server is starting").hint("it reads its log; try again in a moment").into())
        }
        other => {
            let detail = health.text("detail").map(|detail| format!(": {detail}")).unwrap_or_default();
            let hint = "look at its own log, see that its disk has space, and start it again";
            Err(Failure::ours(format!("the server is {other}{detail}")).hint(hint).into())
        }
    }
}

fn print(asked: &mut Asked<'_>, health: &Document) -> Result<(), Stop> {
    asked.console.data(&format!("server   {}", asked.client.server()))?;
    for field in ["status", "version", "epoch", "started_at"] {
        if let Some(text) = health.text(field) {
            let name = if field == "started_at" { "started" } else { field };
            asked.console.data(&format!("{name:<8} {text}"))?;
        }
    }
    if let Some(seq) = health.count("seq") {
        asked.console.data(&format!("seq      {seq}"))?;
    }
    // Counts are a courtesy: a server that starts or has halted may not have them.
    if let Ok(stats) = asked.client.get("/api/stats", &[]) {
        asked.console.data(&format!("jobs     {}", counts_of(&stats.document)))?;
    }
    Ok(())
}

fn counts_of(stats: &Document) -> String {
    let count = |state: StateName| stats.count(&format!("jobs.{}", state.as_str())).filter(|&count| count > 0);
    let some = StateName::ALL.into_iter().filter_map(|state| Some(format!("{} {}", count(state)?, state.as_str())));
    let counts = some.collect::<Vec<_>>().join(", ");
    if counts.is_empty() { "none".to_owned() } else { counts }
}

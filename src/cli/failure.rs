//! Why a subcommand did not do what it was asked: whose fault it is, in words, and with the next step where it is known.

/// What ends a subcommand early.
#[derive(Debug)]
pub enum Stop {
    /// It did not work; people are told.
    Failed(Failure),
    /// Whoever read stdout has gone, as `head` does: that is no fault of anybody.
    ReaderGone,
}

/// What went wrong, as it is shown.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    /// More lines, each about one thing that is wrong.
    pub details: Vec<String>,
    pub hint: Option<String>,
    pub whose: Whose,
}

/// Who can cure it, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// What was asked cannot be done, or what was asked for ended badly.
    Asker,
    /// The server or this program did not do its duty.
    Ours,
}

impl Failure {
    /// The asker can cure it.
    pub fn of_asker(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), details: Vec::new(), hint: None, whose: Whose::Asker }
    }

    /// The server or this program is at fault.
    pub fn ours(message: impl Into<String>) -> Failure {
        Failure { whose: Whose::Ours, ..Failure::of_asker(message) }
    }

    /// Adds the next step.
    pub fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// The code that the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self.whose {
            Whose::Asker => 1,
            Whose::Ours => 2,
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

impl From<std::io::Error> for Stop {
    /// An error of writing to stdout.
    fn from(error: std::io::Error) -> Stop {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Stop::ReaderGone,
            _ => Failure::ours(format!("the output could not be written: {error}")).into(),
        }
    }
}

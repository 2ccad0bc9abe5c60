//! Everything that is wrong with a request, each problem at its JSON pointer. Collects; never decides what it means.

use std::fmt;

/// The most problems that one answer names.
pub const PROBLEMS_MAX: usize = 100;
/// The longest message and the longest pointer of a problem, in bytes: a schema may hold an enum of any length, and a
/// request a name of megabytes.
const TEXT_BYTES_MAX: usize = 500;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// A JSON pointer into the request's body (RFC 6901).
    pub pointer: String,
    /// What is wrong there, for people.
    pub message: String,
}

/// The problems found so far, in the order of finding.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Notes a problem. Beyond [`PROBLEMS_MAX`] the others are passed over: fixing a hundred is a start.
    pub fn add(&mut self, pointer: impl Into<String>, message: impl fmt::Display) {
        if self.list.len() < PROBLEMS_MAX {
            let (pointer, message) = (shorten(pointer.into()), shorten(message.to_string()));
            self.list.push(Problem { pointer, message });
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether no more can be noted, so that looking further is in vain.
    pub fn is_full(&self) -> bool {
        self.list.len() >= PROBLEMS_MAX
    }

    /// The problems in the order of finding.
    pub fn into_list(self) -> Vec<Problem> {
        self.list
    }
}

/// The pointer of a member or an element below `base`.
pub fn below(base: &str, step: impl fmt::Display) -> String {
    format!("{base}/{}", step.to_string().replace('~', "~0").replace('/', "~1"))
}

fn shorten(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_tildes_and_slashes() {
        assert_eq!(below(&below("", "jobs"), 17), "/jobs/17");
        assert_eq!(below("/args", "a/b~c"), "/args/a~1b~0c");
    }

    #[test]
    fn the_number_of_problems_and_the_length_of_each_are_bounded() {
        let mut problems = Problems::default();
        problems.add(below("", "ü".repeat(9000)), "is long");
        (0..PROBLEMS_MAX * 2).for_each(|place| problems.add(below("", place), "ü".repeat(9000)));
        let list = problems.into_list();
        assert_eq!(list.len(), PROBLEMS_MAX);
        assert!(list[0].pointer.len() <= TEXT_BYTES_MAX + '…'.len_utf8());
        assert!(list[1].message.len() <= TEXT_BYTES_MAX + '…'.len_utf8());
    }
}

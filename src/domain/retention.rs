//! What is kept of finished jobs, and for how long: the rules, and how far a round of forgetting has come. Pure numbers;
//! which job goes is decided in `decide::retain`.

use std::collections::BTreeMap;

use crate::domain::id::{FinishOrdinal, KindName};
use crate::domain::job::StateName;
use crate::domain::time::Millis;

/// How many finished jobs are kept, and for how long. What is older goes, and what is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    pub age: Millis,
    pub count: u64,
}

impl Default for Keep {
    /// A week, and a hundred thousand.
    fn default() -> Keep {
        Keep { age: Millis::from_secs(7 * 24 * 60 * 60), count: 100_000 }
    }
}

/// The rules for all finished jobs. Each job is in exactly one class, and counts in no other: a number for one kind says
/// nothing about the rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    pub general: Keep,
    /// Exceptions for jobs that ended in a state.
    pub states: BTreeMap<StateName, Keep>,
    /// Exceptions for jobs of a kind: they go before those for states.
    pub kinds: BTreeMap<KindName, Keep>,
    /// No job goes sooner after its end, whatever the others say: who waits for it is to find it.
    pub least_age: Millis,
}

/// The jobs that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    General,
    State(StateName),
    Kind(KindName),
}

impl Rules {
    /// The class of a finished job, and what is kept of it.
    pub fn class_of(&self, kind: &KindName, state: StateName) -> (Class, Keep) {
        if let Some(keep) = self.kinds.get(kind) {
            return (Class::Kind(kind.clone()), *keep);
        }
        match self.states.get(&state) {
            Some(keep) => (Class::State(state), *keep),
            None => (Class::General, self.general),
        }
    }

    /// No job that is younger goes by its age alone.
    pub fn youngest(&self) -> Millis {
        let exceptions = self.states.values().chain(self.kinds.values()).map(|keep| keep.age);
        exceptions.chain([self.general.age]).min().unwrap_or_default().max(self.least_age)
    }
}

/// How far a round has come: from the jobs that ended first to those that ended last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round {
    /// The first that was not looked at yet.
    pub from: FinishOrdinal,
    /// How many of each class should have gone for their number and stay for another reason: nobody goes in their place.
    pub passed: BTreeMap<Class, u64>,
    /// How many stay although their time was up, for whatever reason.
    pub stayed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_in_one_class_and_its_kind_goes_before_its_state() {
        let kind = |name: &str| name.parse::<KindName>().expect("a name");
        let keep = |count| Keep { age: Millis(1_000 * count), count };
        let rules = Rules {
            general: keep(9),
            states: BTreeMap::from([(StateName::Failed, keep(5))]),
            kinds: BTreeMap::from([(kind("resize"), keep(7))]),
            least_age: Millis(200),
        };
        assert_eq!(rules.class_of(&kind("resize"), StateName::Failed), (Class::Kind(kind("resize")), keep(7)));
        assert_eq!(rules.class_of(&kind("other"), StateName::Failed), (Class::State(StateName::Failed), keep(5)));
        assert_eq!(rules.class_of(&kind("other"), StateName::Completed), (Class::General, keep(9)));
        assert_eq!(rules.youngest(), Millis(5_000));
        assert_eq!(Rules { least_age: Millis(60_000), ..rules }.youngest(), Millis(60_000));
    }
}

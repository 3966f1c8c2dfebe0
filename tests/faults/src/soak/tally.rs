//! What a soak has done.

use std::collections::BTreeMap;

/// Counts of a soak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Processes killed.
    pub kills: usize,
    /// Of these, how many left something half written.
    pub inside: usize,
    /// Processes that went on with a run.
    pub resumes: usize,
    /// Runs that came to their end.
    pub runs: usize,
    by_phase: BTreeMap<String, usize>,
}

impl Tally {
    /// Notes a kill.
    pub(super) fn note(&mut self, phase: &str, inside: bool) {
        self.kills += 1;
        self.inside += usize::from(inside);
        *self.by_phase.entry(phase.to_owned()).or_default() += 1;
    }

    /// `rlhf 3, sft 1`.
    #[must_use]
    pub fn phases(&self) -> String {
        self.by_phase
            .iter()
            .map(|(phase, kills)| format!("{phase} {kills}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

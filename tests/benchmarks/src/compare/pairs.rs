//! What is run against what, in which order, and what is discarded.

use std::fmt;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::json_line::{benchmark, number};

/// A pair counts if other processes took no more cores than this.
const QUIET_CORES: f64 = 0.1;

/// What is compared with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `bench gpt2` with plain PyTorch.
    Parts,
    /// `bench iteration` with TRL.
    Iteration,
}

impl Subject {
    /// Our benchmark.
    #[must_use]
    pub fn ours(self) -> &'static str {
        match self {
            Self::Parts => "gpt2",
            Self::Iteration => "iteration",
        }
    }

    /// Who is on the other side.
    #[must_use]
    pub fn peer(self) -> &'static str {
        match self {
            Self::Parts => "PyTorch",
            Self::Iteration => "TRL",
        }
    }

    /// Its benchmark.
    #[must_use]
    pub fn script(self) -> &'static str {
        match self {
            Self::Parts => "gpt2_bench.py",
            Self::Iteration => "trl_ppo_bench.py",
        }
    }
}

/// A size, and the share of episodes that is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// The name of the size.
    pub size: &'static str,
    /// The share.
    pub alpha: f64,
}

/// Two programs that run one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Size and share.
    pub case: Case,
    /// The programs.
    pub subject: Subject,
    /// Counts from 1.
    pub round: usize,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case: Case { size, alpha }, subject, round } = self;
        write!(f, "{size} {}, alpha {alpha}, round {round}", subject.ours())
    }
}

/// All pairs, in an order in which ours and theirs take turns and our iteration stands between
/// PyTorch and TRL, which are both compared with it.
#[must_use]
pub fn plan(sizes: &[&'static str], alphas: &[f64], rounds: usize) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for &size in sizes {
        for round in 1..=rounds {
            for &alpha in alphas {
                let pair = |subject| Pair { case: Case { size, alpha }, subject, round };
                pairs.extend([Subject::Parts, Subject::Iteration].map(pair));
            }
        }
    }
    pairs
}

/// The lines of a pair.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What our program printed.
    pub ours: Value,
    /// What the peer's program printed.
    pub theirs: Value,
}

impl Attempt {
    /// That both did the same work.
    ///
    /// # Errors
    /// Names what differs.
    pub fn check(&self) -> Result<()> {
        for key in ["config", "parameters", "threads"] {
            let [ours, theirs] = [&self.ours, &self.theirs].map(|line| plain(&line[key]));
            ensure!(
                ours == theirs,
                "`{key}` differs: {ours} in ours, {theirs} in the line of `{}`",
                benchmark(&self.theirs)
            );
        }
        Ok(())
    }

    /// The most cores that other processes took while either was measured; 0 where nobody knows.
    #[must_use]
    pub fn others(&self) -> f64 {
        let cores = |line| number(line, &["other_processes_cores"]).unwrap_or(0.0);
        cores(&self.ours).max(cores(&self.theirs))
    }

    /// Whether other processes left it alone.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.others() <= QUIET_CORES
    }
}

/// A value whose numbers are all fractions: Python writes 1 where we write 1.0.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Object(items) => {
            items.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
        }
        other => other.clone(),
    }
}

/// The first attempt that other processes left alone, or, after `repeats` more, the one that they
/// disturbed least.
///
/// # Errors
/// Those of `run`.
pub fn quiet(repeats: usize, mut run: impl FnMut() -> Result<Attempt>) -> Result<Attempt> {
    let mut best = run()?;
    for _ in 0..repeats {
        if best.is_quiet() {
            break;
        }
        let next = run()?;
        if next.others() < best.others() {
            best = next;
        }
    }
    Ok(best)
}

/// A pair that has been run.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was run.
    pub pair: Pair,
    /// What counts of it.
    pub attempt: Attempt,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attempt(ours: f64, theirs: f64) -> Attempt {
        let line = |others: f64| {
            json!({
                "benchmark": "b",
                "other_processes_cores": others,
                "config": {"layers": 4, "alpha_keep": 1.0},
            })
        };
        Attempt { ours: line(ours), theirs: line(theirs) }
    }

    #[test]
    fn sides_and_subjects_take_turns_within_a_round() {
        let pairs = plan(&["xs", "s"], &[1.0, 0.4], 2);
        assert_eq!(pairs.len(), 16);
        let named: Vec<String> = pairs[..5].iter().map(Pair::to_string).collect();
        assert_eq!(
            named,
            [
                "xs gpt2, alpha 1, round 1",
                "xs iteration, alpha 1, round 1",
                "xs gpt2, alpha 0.4, round 1",
                "xs iteration, alpha 0.4, round 1",
                "xs gpt2, alpha 1, round 2"
            ]
        );
        assert_eq!(pairs[15].to_string(), "s iteration, alpha 0.4, round 2");
    }

    #[test]
    fn a_disturbed_pair_is_repeated_and_the_quietest_of_many_counts() {
        let run = |cores: &[f64], repeats| {
            let mut left = cores.iter();
            let found = quiet(repeats, || Ok(attempt(0.01, *left.next().unwrap()))).unwrap();
            (found.others(), left.len())
        };
        let near = |found: (f64, usize), others: f64, left| {
            (found.0 - others).abs() < 1e-9 && found.1 == left
        };
        assert!(near(run(&[0.1, 0.0], 3), 0.1, 1), "0.1 is quiet");
        assert!(near(run(&[0.5, 0.05, 0.0], 3), 0.05, 1));
        assert!(near(run(&[0.5, 0.3, 0.4, 0.0], 2), 0.3, 1), "the limit is met");
        assert!(near(run(&[0.5], 0), 0.5, 0));
    }

    #[test]
    fn either_side_can_disturb_a_pair_and_unknown_is_quiet() {
        assert!(
            !attempt(0.2, 0.0).is_quiet()
                && !attempt(0.0, 0.2).is_quiet()
                && attempt(0.02, 0.09).is_quiet()
        );
        assert!(
            Attempt { ours: json!({"other_processes_cores": null}), theirs: json!({}) }.is_quiet()
        );
    }

    #[test]
    fn other_work_is_refused_and_one_is_one() {
        let mut attempt = attempt(0.0, 0.0);
        attempt.theirs["config"]["alpha_keep"] = json!(1);
        attempt.check().unwrap();
        attempt.theirs["config"]["layers"] = json!(5);
        let error = attempt.check().unwrap_err().to_string();
        assert!(error.contains("`config` differs") && error.contains("`b`"), "{error}");
    }
}

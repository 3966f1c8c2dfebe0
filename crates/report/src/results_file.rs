//! `results.json`: how it is written and read, be it that of a run or of an evaluation.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tailguard_files::write_file;

use crate::error::ReportError;
use crate::{files, older};

/// The content of a `results.json`: of a run ([`Results`](crate::Results)) or of an evaluation
/// ([`Evaluation`](crate::Evaluation)).
pub trait ResultsFile: Serialize + DeserializeOwned {
    /// Every number of the file that could be none, with what to call it.
    fn numbers(&self) -> Vec<(String, f64)>;

    /// The text of the file.
    ///
    /// # Errors
    /// [`ReportError::NotFinite`]: JSON has no infinity and no NaN.
    fn to_json(&self) -> Result<String, ReportError> {
        if let Some((what, found)) =
            self.numbers().into_iter().find(|(_, number)| !number.is_finite())
        {
            return Err(ReportError::NotFinite { what, found });
        }
        // strings, finite numbers and string keys always serialise
        Ok(serde_json::to_string_pretty(self).unwrap_or_default() + "\n")
    }

    /// Writes the file, as a whole or not at all.
    ///
    /// # Errors
    /// [`ReportError::NotFinite`], or what the file system says.
    fn write(&self, path: &Path) -> Result<(), ReportError> {
        Ok(write_file(path, self.to_json()?.as_bytes())?)
    }

    /// Reads the file; one of an older version as well ([`upgrade`](crate::upgrade)).
    ///
    /// # Errors
    /// When it cannot be read, or is not what [`write`](Self::write) writes.
    fn read(path: &Path) -> Result<Self, ReportError> {
        files::read_json(path, older::upgraded)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::comparison::tests::comparison;
    use crate::evaluation::tests::evaluation;
    use crate::results::tests::results;
    use crate::tail_gains::tests::tail_gains;
    use crate::tail_report::tests::tail_report;
    use crate::{Diverged, HeldKl, PromptBucket, QuantilePoint, Watched};

    const DOCUMENTATION: &str = include_str!("../../../docs/results.md");

    /// The keys of an object and of all that is in it, but for the names of methods.
    fn keys(value: &Value) -> Vec<String> {
        match value {
            Value::Object(object) => {
                let own = |(key, value): (&String, &Value)| {
                    let inner = match value {
                        Value::Object(methods) if key == "methods" => {
                            methods.values().flat_map(keys).collect()
                        }
                        value => keys(value),
                    };
                    [vec![key.clone()], inner].concat()
                };
                object.iter().flat_map(own).collect()
            }
            Value::Array(list) => list.iter().flat_map(keys).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_key_is_documented() {
        let (mut run, mut evaluation) = (results(&[1]), evaluation());
        run.comparisons = vec![comparison()];
        run.comparisons[0].tail_report = Some(tail_gains());
        run.methods.get_mut("sft").unwrap().tail_report = Some(tail_report());
        run.watched =
            vec![Watched { method: "rlhf".into(), over: "sft".into(), reward: None, judge: None }];
        run.equal_kl.extend(HeldKl::of("rlhf", 4.0, &[4.1]));
        run.diverged = vec![Diverged { method: "rlhf".into(), seed: 1, reason: String::new() }];
        let method = evaluation.methods.get_mut("mine").unwrap();
        method.curve = vec![QuantilePoint { percent: 1, count: 0, reward: None }];
        method.buckets = vec![PromptBucket { count: 1, prompt_score: 0.0, reward: 0.0 }];
        method.reward_spread = Some(1.0);
        // between backticks: any key is also a word
        let pieces = DOCUMENTATION.split('`').skip(1).step_by(2);
        let words: Vec<&str> = pieces
            .flat_map(|piece| {
                piece.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_')
            })
            .collect();
        let all = [serde_json::to_value(run).unwrap(), serde_json::to_value(evaluation).unwrap()];
        for key in all.iter().flat_map(keys) {
            assert!(words.contains(&key.as_str()), "docs/results.md lacks {key}");
        }
    }
}

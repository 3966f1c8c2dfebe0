//! The rows of a training log by the names that TRL gives them, for the eyes and the scripts of
//! those who know these.
//!
//! `docs/logs.md` has the whole table and says where a figure is not quite TRL's.

use std::path::Path;

use serde_json::{Map, Value};
use tailguard_files::write_file;

use crate::error::ReportError;
use crate::log::LogRow;

/// Our name in `metrics.parquet`, TRL's name (`PPOTrainer` of TRL 0.4 to 0.11). What TRL does not
/// have begins with `risk/` or, of a distillation, with `distill/`, and times of our own with
/// `time/tailguard/`.
pub(crate) const NAMES: &[(&str, &str)] = &[
    ("reward", "ppo/mean_scores"),
    ("reward_std", "ppo/std_scores"),
    ("kl", "objective/kl"),
    ("kl_coef", "objective/kl_coef"),
    ("entropy", "ppo/policy/entropy"),
    ("policy_loss", "ppo/loss/policy"),
    ("value_loss", "ppo/loss/value"),
    ("approx_kl", "ppo/policy/approxkl"),
    ("clip_fraction", "ppo/policy/clipfrac"),
    ("ratio", "ppo/policy/ratio"),
    ("learning_rate", "ppo/learning_rate"),
    ("length", "tokens/responses_len_mean"),
    ("update_s", "time/ppo/optimize_step"),
    ("reward_tail", "risk/reward_tail"),
    ("utility", "risk/utility"),
    ("return", "risk/return"),
    ("return_kept", "risk/return_kept"),
    ("kl_kept", "risk/kl_kept"),
    ("kept", "risk/kept"),
    ("value_correlation", "risk/value_correlation"),
    ("skipped", "risk/skipped_minibatches"),
    ("cut", "risk/cut_texts"),
    ("sampled_tokens", "risk/sampled_tokens"),
    ("reward_calls", "risk/reward_calls"),
    ("rollout_s", "time/tailguard/rollout"),
    ("generate_s", "time/tailguard/generate"),
    ("score_s", "time/tailguard/score"),
    ("reference_s", "time/tailguard/reference"),
    ("reward_weighted", "distill/reward_weighted"),
    ("kl_weighted", "distill/kl_weighted"),
    ("kl_step", "distill/kl_step"),
    ("tempering", "distill/tempering"),
    ("learnt", "distill/learnt"),
    ("loss", "distill/loss"),
];

/// Mean reward per token without what stands for the score, which is the KL penalty: computed from
/// three others.
const NON_SCORE: &str = "ppo/mean_non_score_reward";

/// The finite numbers of a row by TRL's names, in a fixed order; a name of which TRL knows nothing
/// is left as it is.
#[must_use]
pub fn trl_scalars(row: &LogRow) -> Vec<(String, f64)> {
    let known = NAMES
        .iter()
        .filter_map(|(ours, theirs)| Some(((*theirs).to_owned(), *row.values.get(*ours)?)));
    let others = row.values.iter().filter(|(name, _)| NAMES.iter().all(|(ours, _)| ours != name));
    let others = others.map(|(name, value)| (name.clone(), *value));
    let non_score = non_score(row).map(|value| (NON_SCORE.to_owned(), value));
    known.chain(non_score).chain(others).filter(|(_, value)| value.is_finite()).collect()
}

/// The return of an episode is its utility and what its tokens add to it; all means are over all
/// episodes. A row of an older version has no utility: it was the score.
fn non_score(row: &LogRow) -> Option<f64> {
    let [total, utility, score, length] =
        ["return", "utility", "reward", "length"].map(|name| row.values.get(name).copied());
    Some((total? - utility.or(score)?) / length?)
}

/// Writes rows as JSON lines: `method`, `seed`, `step` (the iteration, from 1) and [`trl_scalars`].
///
/// # Errors
/// When the file cannot be written.
pub fn write_trl_metrics(path: &Path, rows: &[LogRow]) -> Result<(), ReportError> {
    let line = |row: &LogRow| {
        let mut object = Map::new();
        object.insert("method".to_owned(), row.method.as_str().into());
        object.insert("seed".to_owned(), row.seed.into());
        object.insert("step".to_owned(), row.iteration.into());
        object.extend(trl_scalars(row).into_iter().map(|(name, value)| (name, Value::from(value))));
        Value::Object(object).to_string() + "\n"
    };
    Ok(write_file(path, rows.iter().map(line).collect::<String>().as_bytes())?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn row(iteration: u64) -> LogRow {
        let values = [
            ("reward", 1.5),
            ("return", 0.5),
            ("length", 8.0),
            ("kl", 2.0 * iteration as f64),
            ("mine", -1.0),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        LogRow { method: "ra_rlhf".into(), seed: 3, iteration, values }
    }

    #[test]
    fn names_are_those_of_trl_and_what_is_not_finite_is_left_out() {
        let mut row = row(1);
        row.values.insert("kl_coef".to_owned(), f64::NAN);
        let scalars = trl_scalars(&row);
        let expected = [
            ("ppo/mean_scores", 1.5),
            ("objective/kl", 2.0),
            ("tokens/responses_len_mean", 8.0),
            ("risk/return", 0.5),
            (NON_SCORE, -0.125),
            ("mine", -1.0),
        ];
        assert_eq!(scalars, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn what_an_objective_does_to_scores_is_no_penalty() {
        let mut row = row(1);
        row.values.insert("utility".to_owned(), 0.75);
        let scalars = trl_scalars(&row);
        let found =
            |name: &str| scalars.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        assert_eq!((found("risk/utility"), found(NON_SCORE)), (Some(0.75), Some(-0.031_25)));
    }

    #[test]
    fn a_row_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        write_trl_metrics(&path, &[row(1), row(2)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[1]["method"] == "ra_rlhf" && lines[1]["seed"] == 3 && lines[1]["step"] == 2,
            "{text}"
        );
        assert!(lines[1]["objective/kl"] == 4.0, "{text}");
    }

    #[test]
    fn the_table_of_the_documentation_is_this_one() {
        let (_, text) = include_str!("../../../docs/logs.md").split_once("## Names").unwrap();
        let row = |(ours, theirs): &(&str, &str)| format!("| `{ours}` | `{theirs}` |");
        for names in NAMES.iter().chain(&[("(return - utility) / length", NON_SCORE)]) {
            assert!(text.contains(&row(names)), "docs/logs.md lacks {}", row(names));
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("| `")).count(), NAMES.len() + 1);
    }
}

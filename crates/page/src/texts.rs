//! The evaluated texts, prompt by prompt.

use std::collections::HashMap;

use tailguard_report::TextRow;

use crate::model::Policy;

/// A prompt that the policies continued.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    /// Score of the prompt alone, if it is known.
    pub(crate) score: Option<f64>,
    /// Whether it is of the good class, if that is known.
    pub(crate) good: Option<bool>,
}

/// What one policy made of the prompts with one seed: an entry per prompt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Name of the policy.
    pub(crate) method: String,
    pub(crate) seed: u64,
    pub(crate) responses: Vec<String>,
    pub(crate) rewards: Vec<f64>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Texts {
    /// In the order of the first sample.
    pub(crate) prompts: Vec<Prompt>,
    /// By policy, in the order of the tables, then by seed.
    pub(crate) samples: Vec<Sample>,
    /// What is not among them, because it is not of the same prompts, each once: `dpo, seed 1`.
    pub(crate) left_out: Vec<String>,
}

impl Texts {
    /// Sorts rows, in whatever order they are, into samples of the same prompts: those of the first row's sample.
    pub(crate) fn new(policies: &[Policy], rows: &[TextRow]) -> Self {
        let mut groups: Vec<((&str, u64), Vec<&TextRow>)> = Vec::new();
        let mut places = HashMap::new();
        for row in rows {
            let key = (row.method.as_str(), row.seed);
            let place = *places.entry(key).or_insert_with(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(row);
        }
        let Some((_, first)) = groups.first() else { return Self::default() };
        let prompt = |row: &&TextRow| Prompt { text: row.prompt.clone(), score: row.prompt_score, good: row.good };
        let prompts: Vec<Prompt> = first.iter().map(prompt).collect();
        // the same prompt may come twice: then its first text is the first one's
        let by_prompt: HashMap<(&str, usize), usize> = occurrences(first).into_iter().zip(0..).collect();
        let (mut samples, mut left_out) = (Vec::new(), Vec::new());
        for ((method, seed), rows) in &groups {
            let mut of_prompts: Vec<Option<&TextRow>> = vec![None; prompts.len()];
            for (occurrence, row) in occurrences(rows).into_iter().zip(rows) {
                if let Some(&place) = by_prompt.get(&occurrence) {
                    of_prompts[place] = Some(*row);
                }
            }
            let whole: Option<Vec<&TextRow>> = of_prompts.into_iter().collect();
            let Some(whole) = whole.filter(|whole| whole.len() == rows.len()) else {
                left_out.push(format!("{method}, seed {seed}"));
                continue;
            };
            samples.push(Sample {
                method: (*method).to_owned(),
                seed: *seed,
                responses: whole.iter().map(|row| row.response.clone()).collect(),
                rewards: whole.iter().map(|row| row.reward).collect(),
            });
        }
        let rank = |sample: &Sample| policies.iter().position(|policy| policy.key == sample.method).unwrap_or(policies.len());
        samples.sort_by_key(|sample| (rank(sample), sample.seed));
        Self { prompts, samples, left_out }
    }

    /// The samples of a policy, by seed.
    pub(crate) fn of<'a>(&'a self, method: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.method == method)
    }

    /// The seeds, in order.
    pub(crate) fn seeds(&self) -> Vec<u64> {
        let mut seeds: Vec<u64> = self.samples.iter().map(|sample| sample.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds
    }

    /// Scores of the prompts alone, if all are known.
    pub(crate) fn scores(&self) -> Option<Vec<f64>> {
        self.prompts.iter().map(|prompt| prompt.score).collect()
    }

    /// The prompts that score at most the threshold, by place.
    pub(crate) fn tail(&self, threshold: f64) -> Vec<usize> {
        self.scores().and_then(|scores| tailguard_metrics::at_or_below(&scores, threshold).ok()).unwrap_or_default()
    }
}

/// Each row's prompt, with how often it has come before.
fn occurrences<'a>(rows: &[&'a TextRow]) -> Vec<(&'a str, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let occurrence = |row: &&'a TextRow| {
        let count = counts.entry(&row.prompt).or_default();
        *count += 1;
        (row.prompt.as_str(), *count)
    };
    rows.iter().map(occurrence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policies;

    pub(crate) fn row(method: &str, seed: u64, prompt: &str, reward: f64) -> TextRow {
        TextRow {
            prompt: prompt.to_owned(),
            prompt_score: Some(-1.0),
            good: None,
            response: format!("{method} {reward}"),
            reward,
            judge: None,
            method: method.to_owned(),
            seed,
        }
    }

    #[test]
    fn texts_are_put_to_their_prompts_whatever_their_order() {
        let rows = [
            row("rlhf", 2, "a", 1.0),
            row("rlhf", 2, "b", 2.0),
            row("rlhf", 2, "a", 3.0),
            row("gpt2", 2, "b", 5.0),
            row("gpt2", 2, "a", 4.0),
            row("gpt2", 2, "a", 6.0),
        ];
        let policies = policies(["rlhf", "gpt2"].into_iter());
        let texts = Texts::new(&policies, &rows);
        assert_eq!(texts.prompts.iter().map(|prompt| prompt.text.as_str()).collect::<Vec<_>>(), ["a", "b", "a"]);
        assert_eq!(texts.samples[0].method, "gpt2");
        assert_eq!(
            (texts.samples[0].rewards.as_slice(), texts.samples[1].rewards.as_slice()),
            (&[4.0, 5.0, 6.0][..], &[1.0, 2.0, 3.0][..])
        );
        assert_eq!(texts.seeds(), [2]);
    }

    #[test]
    fn a_policy_that_continued_other_prompts_is_left_out_and_named() {
        for other in [vec![row("dpo", 1, "b", 1.0)], vec![row("dpo", 1, "a", 1.0), row("dpo", 1, "a", 1.0)]] {
            let rows = [vec![row("sft", 1, "a", 1.0)], other].concat();
            let texts = Texts::new(&policies(["sft", "dpo"].into_iter()), &rows);
            assert_eq!((texts.samples.len(), texts.left_out), (1, vec!["dpo, seed 1".to_owned()]));
        }
        assert_eq!(Texts::new(&[], &[]), Texts::default());
    }
}

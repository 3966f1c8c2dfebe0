//! The evaluated texts: those of each policy and seed, and which prompts they have in common.

use std::collections::HashMap;

use tailguard_metrics::at_or_below;
use tailguard_report::TextRow;

use crate::model::Policy;

/// A prompt that a policy continued.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    /// How many equal ones stand above it among those of its sample.
    nth: usize,
    /// Score of the prompt alone, if it is known.
    pub(crate) score: Option<f64>,
    /// Whether it is of the good class, if that is known.
    pub(crate) good: Option<bool>,
}

impl Prompt {
    /// Whether it scores at most the threshold.
    pub(crate) fn is_within(&self, threshold: f64) -> bool {
        self.score.is_some_and(|score| at_or_below(&[score], threshold).is_ok_and(|within| !within.is_empty()))
    }
}

/// What a policy made of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    pub(crate) prompt: Prompt,
    pub(crate) response: String,
    pub(crate) reward: f64,
}

/// What one policy made of its prompts with one seed, as far as it has a reward.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Name of the policy.
    pub(crate) method: String,
    pub(crate) seed: u64,
    pub(crate) texts: Vec<Text>,
    /// Where among them those are whose prompts all samples have, in an order that is the same for all.
    common: Vec<usize>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Texts {
    /// By policy, in the order of the tables, then by seed.
    pub(crate) samples: Vec<Sample>,
}

impl Sample {
    /// Its text for a prompt that all samples have.
    pub(crate) fn of(&self, prompt: usize) -> &Text {
        &self.texts[self.common[prompt]]
    }

    /// Its rewards, also those for prompts that other samples lack.
    pub(crate) fn rewards(&self) -> Vec<f64> {
        self.texts.iter().map(|text| text.reward).collect()
    }
}

impl Texts {
    /// Sorts rows, in whatever order they are, into samples.
    pub(crate) fn new(policies: &[Policy], rows: Vec<TextRow>) -> Self {
        let mut samples: Vec<Sample> = Vec::new();
        let mut places = HashMap::new();
        let mut seen: Vec<HashMap<String, usize>> = Vec::new();
        for TextRow { prompt: text, prompt_score: score, good, response, reward, method, seed, .. } in rows {
            let place = *places.entry((method.clone(), seed)).or_insert(samples.len());
            if place == samples.len() {
                samples.push(Sample { method, seed, texts: Vec::new(), common: Vec::new() });
                seen.push(HashMap::new());
            }
            // a text without a reward is one of its prompt's all the same
            let above = seen[place].entry(text.clone()).or_default();
            let prompt = Prompt { text, nth: *above, score, good };
            *above += 1;
            samples[place].texts.extend(reward.map(|reward| Text { prompt, response, reward }));
        }
        samples.retain(|sample| !sample.texts.is_empty());
        let rank = |sample: &Sample| policies.iter().position(|policy| policy.key == sample.method).unwrap_or(policies.len());
        samples.sort_by_key(|sample| (rank(sample), sample.seed));
        let common = common(&samples.iter().collect::<Vec<_>>());
        samples.iter_mut().zip(common).for_each(|(sample, common)| sample.common = common);
        Self { samples }
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

    /// The prompts that all samples have.
    pub(crate) fn prompts(&self) -> Vec<&Prompt> {
        let first = self.samples.first();
        first.map_or(Vec::new(), |first| first.common.iter().map(|&place| &first.texts[place].prompt).collect())
    }

    /// Whether no sample has a prompt that another lacks.
    pub(crate) fn is_whole(&self) -> bool {
        self.samples.iter().all(|sample| sample.common.len() == sample.texts.len())
    }

    /// Those of the prompts that have a score of their own, by place, and their scores.
    pub(crate) fn scored(&self) -> (Vec<usize>, Vec<f64>) {
        let prompts = self.prompts();
        let scored = prompts.iter().enumerate().filter_map(|(place, prompt)| Some((place, prompt.score?)));
        scored.unzip()
    }

    /// The prompts that score at most the threshold, by place.
    pub(crate) fn tail(&self, threshold: f64) -> Vec<usize> {
        let prompts = self.prompts();
        (0..prompts.len()).filter(|&place| prompts[place].is_within(threshold)).collect()
    }
}

/// Where in each sample the texts are whose prompts all of these samples have, in the order of the first. A prompt that comes
/// twice is two: the first text of one sample is put to the first of another.
pub(crate) fn common(samples: &[&Sample]) -> Vec<Vec<usize>> {
    let places: Vec<HashMap<_, usize>> = samples.iter().map(|sample| sample.texts.iter().map(key).zip(0..).collect()).collect();
    let mut common = vec![Vec::new(); samples.len()];
    for text in samples.first().into_iter().flat_map(|first| &first.texts) {
        let of_all: Option<Vec<usize>> = places.iter().map(|places| places.get(&key(text)).copied()).collect();
        common.iter_mut().zip(of_all.into_iter().flatten()).for_each(|(common, place)| common.push(place));
    }
    common
}

/// What tells the prompt of a text from the others of its sample.
fn key(text: &Text) -> (&str, usize) {
    (&text.prompt.text, text.prompt.nth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policies;

    fn row(method: &str, seed: u64, prompt: &str, reward: f64) -> TextRow {
        TextRow {
            prompt: prompt.to_owned(),
            prompt_score: Some(-1.0),
            good: None,
            response: format!("{method} {reward}"),
            reward: Some(reward),
            judge: None,
            method: method.to_owned(),
            seed,
        }
    }

    /// The prompts that all have, and what each sample makes of them.
    fn paired(texts: &Texts) -> (Vec<&str>, Vec<Vec<f64>>) {
        let prompts: Vec<&str> = texts.prompts().into_iter().map(|prompt| prompt.text.as_str()).collect();
        let rewards = |sample: &Sample| (0..prompts.len()).map(|prompt| sample.of(prompt).reward).collect();
        let rewards = texts.samples.iter().map(rewards).collect();
        (prompts, rewards)
    }

    #[test]
    fn texts_are_put_to_their_prompts_whatever_their_order() {
        let rows = vec![
            row("rlhf", 2, "a", 1.0),
            row("rlhf", 2, "b", 2.0),
            row("rlhf", 2, "a", 3.0),
            row("gpt2", 2, "b", 5.0),
            row("gpt2", 2, "a", 4.0),
            row("gpt2", 2, "a", 6.0),
        ];
        let texts = Texts::new(&policies(["rlhf", "gpt2"].into_iter()), rows);
        assert_eq!(paired(&texts), (vec!["b", "a", "a"], vec![vec![5.0, 4.0, 6.0], vec![2.0, 1.0, 3.0]]));
        assert_eq!((texts.samples[0].method.as_str(), texts.seeds(), texts.is_whole()), ("gpt2", vec![2], true));
        assert_eq!(Texts::new(&[], vec![]), Texts::default());
    }

    #[test]
    fn a_policy_keeps_its_rewards_though_others_lack_some_of_its_prompts() {
        let mut rows = vec![
            row("sft", 1, "a", 1.0),
            row("sft", 1, "b", 2.0),
            row("dpo", 1, "c", 3.0),
            row("dpo", 1, "b", 4.0),
            row("dpo", 1, "b", 5.0),
            row("ppo", 1, "b", 6.0),
            row("ppo", 1, "b", 7.0),
        ];
        let policies = policies(["sft", "dpo", "ppo"].into_iter());
        let texts = Texts::new(&policies, rows.clone());
        assert_eq!(paired(&texts), (vec!["b"], vec![vec![2.0], vec![4.0], vec![6.0]]));
        assert_eq!((texts.samples[1].rewards(), texts.is_whole()), (vec![3.0, 4.0, 5.0], false));
        // the second text of a prompt stays the second where the first has no reward
        rows[5].reward = None;
        rows[0].reward = None;
        let texts = Texts::new(&policies, rows);
        assert_eq!(paired(&texts), (vec![], vec![vec![]; 3]));
        assert_eq!((texts.samples[0].rewards(), texts.samples[2].rewards()), (vec![2.0], vec![7.0]));
    }

    #[test]
    fn prompts_without_a_score_are_in_no_tail_and_take_no_other_out() {
        let mut rows = vec![row("sft", 1, "a", 1.0), row("sft", 1, "b", 2.0), row("sft", 1, "c", 3.0)];
        rows[1].prompt_score = None;
        rows[2].prompt_score = Some(0.5);
        let texts = Texts::new(&policies(["sft"].into_iter()), rows);
        assert_eq!((texts.scored(), texts.tail(0.0)), ((vec![0, 2], vec![-1.0, 0.5]), vec![0]));
    }
}

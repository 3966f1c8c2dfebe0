//! The evaluated texts: those of each policy and seed, and which prompts they have in common. A
//! prompt is known by its text; it may have several texts of a policy and seed.

use std::collections::{HashMap, HashSet};

use tailguard_metrics::{ByPrompt, at_or_below};
use tailguard_report::TextRow;

use crate::policies::Policy;

/// A prompt that policies continued.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    /// Score of the prompt alone, the first that there is, if it is known.
    pub(crate) score: Option<f64>,
}

impl Prompt {
    /// Whether it scores at most the threshold.
    pub(crate) fn is_within(&self, threshold: f64) -> bool {
        self.score.is_some_and(|score| {
            at_or_below(&[score], threshold).is_ok_and(|within| !within.is_empty())
        })
    }
}

/// What a policy made of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text {
    /// Place of the prompt among all.
    prompt: usize,
    /// Whether what the prompt begins is of the good class, if that is known.
    pub(crate) good: Option<bool>,
    pub(crate) response: String,
    pub(crate) reward: f64,
    pub(crate) judge: Option<f64>,
    pub(crate) perplexity: Option<f64>,
    pub(crate) kl: Option<f64>,
}

/// What one policy made of its prompts with one seed, as far as it has a reward.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Name of the policy.
    pub(crate) method: String,
    pub(crate) seed: u64,
    pub(crate) texts: Vec<Text>,
    /// Where among them the text of each row is.
    rows: Vec<usize>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Texts {
    /// By policy, in the order of the tables, then by seed.
    pub(crate) samples: Vec<Sample>,
    /// Every prompt once, in the order in which they were read.
    all: Vec<Prompt>,
    /// Those that all samples have, once for each text that all have of it, in the order of the
    /// first sample: the first text of one stands beside the first of another.
    rows: Vec<usize>,
}

/// How many texts there are, of how many different prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) texts: usize,
    pub(crate) prompts: usize,
}

impl Counts {
    /// `20 held-out prompts`, or `40 texts of 20 held-out prompts` where some have several.
    pub(crate) fn words(self, kind: &str) -> String {
        let Self { texts, prompts } = self;
        let prompts =
            format!("{prompts} {kind}{}", if prompts == 1 { "prompt" } else { "prompts" });
        if self.has_several() { format!("{texts} texts of {prompts}") } else { prompts }
    }

    /// Whether a prompt has several texts.
    pub(crate) fn has_several(self) -> bool {
        self.texts > self.prompts
    }
}

impl Sample {
    /// Its text of a row.
    pub(crate) fn of(&self, row: usize) -> &Text {
        &self.texts[self.rows[row]]
    }

    /// Its rewards, also those for prompts that other samples lack.
    pub(crate) fn rewards(&self) -> Vec<f64> {
        self.texts.iter().map(|text| text.reward).collect()
    }

    /// A value of each text that has it, with the place of its prompt among all.
    pub(crate) fn by_prompt(&self, value: impl Fn(&Text) -> Option<f64>) -> Vec<ByPrompt> {
        self.texts.iter().filter_map(|text| Some((text.prompt, value(text)?))).collect()
    }

    /// Of each text the prompt, and how many texts of this prompt stand above it.
    fn keys(&self) -> Vec<(usize, usize)> {
        let mut seen: HashMap<usize, usize> = HashMap::new();
        let key = |text: &Text| {
            let above = seen.entry(text.prompt).or_default();
            *above += 1;
            (text.prompt, *above - 1)
        };
        self.texts.iter().map(key).collect()
    }

    /// The mean reward of its texts for each of its prompts, by their places among all.
    fn means(&self) -> HashMap<usize, f64> {
        let mut sums: HashMap<usize, (f64, f64)> = HashMap::new();
        for text in &self.texts {
            let (sum, count) = sums.entry(text.prompt).or_default();
            *sum += text.reward;
            *count += 1.0;
        }
        sums.into_iter().map(|(prompt, (sum, count))| (prompt, sum / count)).collect()
    }
}

impl Texts {
    /// Sorts rows, in whatever order they are, into samples.
    pub(crate) fn new(policies: &[Policy], rows: Vec<TextRow>) -> Self {
        let (mut samples, mut places): (Vec<Sample>, HashMap<_, usize>) =
            (Vec::new(), HashMap::new());
        let (mut all, mut numbers): (Vec<Prompt>, HashMap<String, usize>) =
            (Vec::new(), HashMap::new());
        for row in rows {
            let TextRow {
                prompt: text,
                prompt_score: score,
                good,
                response,
                reward,
                judge,
                perplexity,
                kl,
                method,
                seed,
            } = row;
            let prompt = numbers.get(&text).copied().unwrap_or_else(|| {
                numbers.insert(text.clone(), all.len());
                all.push(Prompt { text, score: None });
                all.len() - 1
            });
            all[prompt].score = all[prompt].score.or(score);
            let Some(reward) = reward else { continue };
            let place = *places.entry((method.clone(), seed)).or_insert(samples.len());
            if place == samples.len() {
                samples.push(Sample { method, seed, texts: Vec::new(), rows: Vec::new() });
            }
            samples[place].texts.push(Text {
                prompt,
                good,
                response,
                reward,
                judge,
                perplexity,
                kl,
            });
        }
        let rank = |sample: &Sample| {
            policies.iter().position(|policy| policy.key == sample.method).unwrap_or(policies.len())
        };
        samples.sort_by_key(|sample| (rank(sample), sample.seed));
        let mut texts = Self { samples, all, rows: Vec::new() };
        texts.put_side_by_side();
        texts
    }

    /// Finds the rows.
    fn put_side_by_side(&mut self) {
        let keys: Vec<Vec<(usize, usize)>> = self.samples.iter().map(Sample::keys).collect();
        let places = |keys: &Vec<(usize, usize)>| {
            keys.iter().copied().zip(0..).collect::<HashMap<_, usize>>()
        };
        let places: Vec<HashMap<(usize, usize), usize>> = keys.iter().map(places).collect();
        for key in keys.first().into_iter().flatten() {
            let of_all: Option<Vec<usize>> =
                places.iter().map(|places| places.get(key).copied()).collect();
            let Some(of_all) = of_all else { continue };
            self.rows.push(key.0);
            self.samples.iter_mut().zip(of_all).for_each(|(sample, place)| sample.rows.push(place));
        }
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

    /// The prompt of a text.
    pub(crate) fn prompt(&self, text: &Text) -> &Prompt {
        &self.all[text.prompt]
    }

    /// The prompt of each row, of which the samples' texts stand side by side.
    pub(crate) fn rows(&self) -> Vec<&Prompt> {
        self.rows.iter().map(|&prompt| &self.all[prompt]).collect()
    }

    /// The different prompts that all samples have.
    pub(crate) fn prompts(&self) -> Vec<&Prompt> {
        self.common().into_iter().map(|prompt| &self.all[prompt]).collect()
    }

    fn common(&self) -> Vec<usize> {
        let mut seen = HashSet::new();
        self.rows.iter().copied().filter(|prompt| seen.insert(*prompt)).collect()
    }

    /// How many of both all samples have.
    pub(crate) fn counts(&self) -> Counts {
        Counts { texts: self.rows.len(), prompts: self.common().len() }
    }

    /// How many of these texts there are, and of how many prompts.
    pub(crate) fn count<'a>(texts: impl IntoIterator<Item = &'a Text>) -> Counts {
        let (mut count, mut seen) = (0, HashSet::new());
        for text in texts {
            count += 1;
            seen.insert(text.prompt);
        }
        Counts { texts: count, prompts: seen.len() }
    }

    /// The different prompts of these texts.
    pub(crate) fn different<'a>(&self, texts: impl IntoIterator<Item = &'a Text>) -> Vec<&Prompt> {
        let mut seen = HashSet::new();
        let prompts =
            texts.into_iter().map(|text| text.prompt).filter(|prompt| seen.insert(*prompt));
        prompts.map(|prompt| &self.all[prompt]).collect()
    }

    /// How many of these rows there are, and of how many prompts.
    pub(crate) fn count_rows(&self, rows: &[usize]) -> Counts {
        Counts {
            texts: rows.len(),
            prompts: rows.iter().map(|&row| self.rows[row]).collect::<HashSet<_>>().len(),
        }
    }

    /// Whether no sample has a prompt, or a text of one, that another lacks.
    pub(crate) fn is_whole(&self) -> bool {
        self.samples.iter().all(|sample| sample.rows.len() == sample.texts.len())
    }

    /// Whether no sample has a prompt that another lacks.
    pub(crate) fn has_all_prompts(&self) -> bool {
        let common = self.common().len();
        self.samples.iter().all(|sample| Self::count(&sample.texts).prompts == common)
    }

    /// Scores of those of the common prompts that have one, and for each sample their rewards: of a
    /// prompt the mean over its texts.
    pub(crate) fn scored(&self) -> (Vec<f64>, Vec<Vec<f64>>) {
        let scored =
            self.common().into_iter().filter_map(|prompt| Some((prompt, self.all[prompt].score?)));
        let (prompts, scores): (Vec<usize>, Vec<f64>) = scored.unzip();
        let rewards = |sample: &Sample| {
            let means = sample.means();
            prompts.iter().filter_map(|prompt| means.get(prompt).copied()).collect()
        };
        (scores, self.samples.iter().map(rewards).collect())
    }

    /// The rows whose prompts score at most the threshold, by place.
    pub(crate) fn tail(&self, threshold: f64) -> Vec<usize> {
        (0..self.rows.len()).filter(|&row| self.all[self.rows[row]].is_within(threshold)).collect()
    }

    /// The fewest different prompts that a sample has rewards for, in all and of those that score
    /// at most the threshold.
    pub(crate) fn fewest(&self, threshold: Option<f64>) -> Option<(usize, Option<usize>)> {
        let within = |sample: &Sample, threshold| {
            Self::count(sample.texts.iter().filter(|text| self.prompt(text).is_within(threshold)))
                .prompts
        };
        // of a single text there is no figure
        let samples = || self.samples.iter().filter(|sample| sample.texts.len() > 1);
        let fewest = samples().map(|sample| Self::count(&sample.texts).prompts).min()?;
        let tail = threshold.and_then(|threshold| {
            samples().map(|sample| within(sample, threshold)).filter(|count| *count > 0).min()
        });
        Some((fewest, tail))
    }

    /// Every prompt once, in the order in which they were read.
    pub(crate) fn all(&self) -> &[Prompt] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use tailguard_report::Arm;

    use super::*;
    use crate::policies::policies;

    fn row(method: &str, seed: u64, prompt: &str, reward: f64) -> TextRow {
        TextRow {
            prompt: prompt.to_owned(),
            prompt_score: Some(-1.0),
            good: None,
            response: format!("{method} {reward}"),
            reward: Some(reward),
            judge: None,
            perplexity: None,
            kl: None,
            method: method.to_owned(),
            seed,
        }
    }

    /// The prompts of the rows, and what each sample makes of them.
    fn paired(texts: &Texts) -> (Vec<&str>, Vec<Vec<f64>>) {
        let prompts: Vec<&str> =
            texts.rows().into_iter().map(|prompt| prompt.text.as_str()).collect();
        let rewards =
            |sample: &Sample| (0..prompts.len()).map(|row| sample.of(row).reward).collect();
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
        let texts = Texts::new(&policies(&Arm::of_paper(), ["rlhf", "gpt2"].into_iter()), rows);
        assert_eq!(
            paired(&texts),
            (vec!["b", "a", "a"], vec![vec![5.0, 4.0, 6.0], vec![2.0, 1.0, 3.0]])
        );
        assert_eq!(
            (texts.samples[0].method.as_str(), texts.seeds(), texts.is_whole()),
            ("gpt2", vec![2], true)
        );
        assert_eq!(texts.counts(), Counts { texts: 3, prompts: 2 });
        assert_eq!(
            (texts.counts().words("held-out "), texts.prompts().len()),
            ("3 texts of 2 held-out prompts".to_owned(), 2)
        );
        // a prompt counts once, by the mean of its texts
        assert_eq!(texts.scored(), (vec![-1.0; 2], vec![vec![5.0, 5.0], vec![2.0, 2.0]]));
        assert_eq!(texts.fewest(Some(-1.0)), Some((2, Some(2))));
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
        let policies = policies(&Arm::of_paper(), ["sft", "dpo", "ppo"].into_iter());
        let texts = Texts::new(&policies, rows.clone());
        assert_eq!(paired(&texts), (vec!["b"], vec![vec![2.0], vec![4.0], vec![6.0]]));
        assert_eq!(
            (texts.samples[1].rewards(), texts.is_whole(), texts.has_all_prompts()),
            (vec![3.0, 4.0, 5.0], false, false)
        );
        assert_eq!(texts.scored().1, [[2.0], [4.5], [6.5]], "all texts of a prompt count");
        // the first text that has a reward stands in the first place
        rows[5].reward = None;
        let texts = Texts::new(&policies, rows.clone());
        assert_eq!(
            (paired(&texts), texts.samples[2].rewards()),
            ((vec!["b"], vec![vec![2.0], vec![4.0], vec![7.0]]), vec![7.0])
        );
        rows.remove(2);
        rows.remove(0);
        let texts = Texts::new(&policies, rows);
        assert!(
            !texts.is_whole() && texts.has_all_prompts(),
            "all have b, and not as many texts of it"
        );
    }

    #[test]
    fn prompts_without_a_score_are_in_no_tail_and_take_no_other_out() {
        let mut rows =
            vec![row("sft", 1, "a", 1.0), row("sft", 1, "b", 2.0), row("sft", 1, "c", 3.0)];
        rows[1].prompt_score = None;
        rows[2].prompt_score = Some(0.5);
        let texts = Texts::new(&policies(&Arm::of_paper(), ["sft"].into_iter()), rows);
        assert_eq!(
            (texts.scored(), texts.tail(0.0)),
            ((vec![-1.0, 0.5], vec![vec![1.0, 3.0]]), vec![0])
        );
    }

    #[test]
    fn a_prompt_has_one_score_the_first_that_there_is() {
        let mut rows =
            vec![row("sft", 1, "a", 1.0), row("sft", 1, "a", 2.0), row("sft", 1, "a", 3.0)];
        (rows[0].prompt_score, rows[2].prompt_score) = (None, Some(0.5));
        let texts = Texts::new(&policies(&Arm::of_paper(), ["sft"].into_iter()), rows);
        assert_eq!((texts.tail(0.0), texts.prompts()[0].score), (vec![0, 1, 2], Some(-1.0)));
    }
}

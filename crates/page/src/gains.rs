//! What the policies of a run gain over those of another on the same prompts, or why that is not
//! known: the sentences beneath the table of a comparison, in the terminal and in the page.

use std::collections::{BTreeMap, HashMap};

use tailguard_metrics::Pairs;
use tailguard_report::{Comparison, Values, few_prompts, gain as shown};

use crate::clean;
use crate::error::PageError;
use crate::policies::Policy;
use crate::run::{Run, letter};
use crate::summary::enumerate;
use crate::texts::{Sample, Text};

/// What a run gains over the first of a comparison.
#[derive(Clone, Debug)]
pub(crate) struct Gains {
    /// Which run it is.
    place: usize,
    /// By policy, each with how many of its prompts are in the tail.
    compared: Vec<(String, Comparison, usize)>,
    /// Policies that both have, each with why there is no more to say of them.
    others: Vec<(String, Why)>,
    has_policies_in_common: bool,
}

/// Why a policy of two runs was not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Same,
    NoTexts,
    NoSeed,
    FewPrompts,
}

impl Gains {
    /// Compares each policy of a run with that of the same name of the first run, with the seeds
    /// and on the prompts that both have: of several texts of a prompt the mean counts.
    ///
    /// # Errors
    /// [`PageError::Metrics`] for texts whose numbers are none.
    pub(crate) fn new(place: usize, run: &Run, first: &Run) -> Result<Self, PageError> {
        let (mut compared, mut others) = (Vec::new(), Vec::new());
        let in_both = |policy: &&Policy| first.policy(&policy.key).is_some();
        for policy in run.methods.iter().filter(in_both) {
            match gain(&policy.key, run, first)? {
                Ok((gain, in_tail)) => compared.push((policy.label.clone(), gain, in_tail)),
                Err(why) => others.push((policy.label.clone(), why)),
            }
        }
        let has_policies_in_common = compared.len() + others.len() > 0;
        Ok(Self { place, compared, others, has_policies_in_common })
    }

    /// The sentences; `number` writes the minus signs of numbers.
    pub(crate) fn sentences(&self, number: impl Fn(&str) -> String) -> Vec<String> {
        let run = letter(self.place);
        if !self.has_policies_in_common {
            return vec![format!(
                "Run {run} is not compared with run A prompt by prompt, as they have no policy of \
                 the same name."
            )];
        }
        let mut sentences = Vec::new();
        for (label, compared, in_tail) in &self.compared {
            let (prompts, reward) = (compared.prompts, compared.reward);
            let of_tail = compared
                .tail
                .map(|tail| format!(", {} in the tail", shown(tail, 2)))
                .unwrap_or_default();
            let others =
                compared.differences().filter(|(key, ..)| !["reward", "tail"].contains(key));
            let others: String = others
                .map(|(_, name, digits, figure)| format!("; {name} {}", shown(figure, digits)))
                .collect();
            let gain = number(&format!("{} on average{of_tail}{others}", shown(reward, 2)));
            let few = few_prompts(prompts, Some(*in_tail))
                .map(|few| format!(" But {few}."))
                .unwrap_or_default();
            let over = if reward.seeds_std.is_some() { "prompts and seeds" } else { "prompts" };
            sentences.push(format!(
                "{} of run {run} against that of run A, on the {prompts} prompts that both have: \
                 {gain}; brackets are 95 % intervals over {over}.{few}",
                clean::line(label)
            ));
        }
        let mut by_reason: BTreeMap<Why, Vec<String>> = BTreeMap::new();
        self.others
            .iter()
            .for_each(|(label, why)| by_reason.entry(*why).or_default().push(clean::line(label)));
        for (why, labels) in by_reason {
            let (of, that) = (
                format!("{} of run {run}", enumerate(&labels)),
                if labels.len() == 1 { "that" } else { "those" },
            );
            let not_compared =
                |reason| format!("{of} against {that} of run A: not compared, as {reason}.");
            sentences.push(match why {
                Why::Same => format!("{of}: the same texts and rewards as {that} of run A."),
                Why::NoTexts => not_compared(
                    "one of the two runs has no texts with rewards (generations.parquet)",
                ),
                Why::NoSeed => not_compared("the two runs have no seed in common"),
                Why::FewPrompts => not_compared(
                    "there are not two prompts that both have texts for with the same seed",
                ),
            });
        }
        sentences
    }
}

/// The gain of a policy and how many of its prompts are in the tail, or why there is none.
fn gain(
    method: &str,
    run: &Run,
    first: &Run,
) -> Result<Result<(Comparison, usize), Why>, PageError> {
    let of = |run: &'_ Run| run.texts.of(method).count();
    if of(run) == 0 || of(first) == 0 {
        return Ok(Err(Why::NoTexts));
    }
    if are_same(
        &run.texts.of(method).collect::<Vec<_>>(),
        &first.texts.of(method).collect::<Vec<_>>(),
    ) {
        return Ok(Err(Why::Same));
    }
    let (mut own, mut base) = (Vec::new(), Vec::new());
    for sample in run.texts.of(method) {
        if let Some(other) = first.texts.of(method).find(|other| other.seed == sample.seed) {
            own.push(sample);
            base.push(other);
        }
    }
    if own.is_empty() {
        return Ok(Err(Why::NoSeed));
    }
    let prompts = first.texts.all();
    let numbers: HashMap<&str, usize> =
        prompts.iter().map(|prompt| prompt.text.as_str()).zip(0..).collect();
    let (own, base) = (values(run, &own, &numbers), values(first, &base, &numbers));
    // each run may have scored the prompts anew; the first one says which are the tail
    let threshold = first.results.threshold();
    let is_low: Vec<bool> = prompts
        .iter()
        .map(|prompt| threshold.is_some_and(|threshold| prompt.is_within(threshold)))
        .collect();
    let in_tail = |prompt: usize| is_low[prompt];
    let share = first.results.cvar_share.or_else(|| first.results.comparisons.first()?.cvar_share);
    let count = |texts: usize| share_of(share.unwrap_or(1.0), texts);
    let in_tail: Option<&dyn Fn(usize) -> bool> = threshold.is_some().then_some(&in_tail);
    let cvar = share.map(|share| (share, &count as &dyn Fn(usize) -> usize));
    let Some(mut found) = Comparison::of((method, &own), (method, &base), in_tail, cvar)? else {
        return Ok(Err(Why::FewPrompts));
    };
    if run.results.reference() != first.results.reference() {
        // distances from two places
        found.kl = None;
    }
    let low = Pairs::new(&own.reward, &base.reward)?.among(|prompt| is_low[prompt]).prompts();
    Ok(Ok((found, low)))
}

/// What was measured of samples, by the numbers of the prompts that have one.
fn values(run: &Run, samples: &[&Sample], numbers: &HashMap<&str, usize>) -> Values {
    let of = |value: fn(&Text) -> Option<f64>| {
        let of_text =
            |text: &Text| Some((*numbers.get(run.texts.prompt(text).text.as_str())?, value(text)?));
        samples.iter().map(|sample| sample.texts.iter().filter_map(of_text).collect()).collect()
    };
    Values {
        reward: of(|text| Some(text.reward)),
        judge: of(|text| text.judge),
        perplexity_human: Vec::new(),
        perplexity_generated: of(|text| text.perplexity),
        kl: of(|text| text.kl),
    }
}

/// A share of so many texts, rounded up; the share is a decimal, whose double may be a hair above
/// it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of texts is no negative number, and small"
)]
fn share_of(share: f64, texts: usize) -> usize {
    let exact = share * texts as f64;
    ((exact - 1e-9 * exact).ceil() as usize).clamp(1, texts.max(1))
}

/// Whether two runs have the same texts with the same rewards.
pub(crate) fn are_same(one: &[&Sample], other: &[&Sample]) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len()
        && pairs.all(|(one, other)| one.seed == other.seed && made(one).eq(made(other)))
}

fn made(sample: &Sample) -> impl Iterator<Item = (&str, u64)> {
    sample.texts.iter().map(|text| (text.response.as_str(), text.reward.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Kind, files, run};
    use crate::run::RunFiles;

    fn sentences(change: impl Fn(&mut RunFiles)) -> Vec<String> {
        let mut other = files(Kind::Loss);
        change(&mut other);
        Gains::new(1, &Run::new(other).unwrap(), &run(Kind::Gain)).unwrap().sentences(str::to_owned)
    }

    #[test]
    fn every_policy_that_both_have_is_told() {
        let told = sentences(|_| {});
        let gain =
            "RA-RLHF of run B against that of run A, on the 40 prompts that both have: -1.00 [";
        assert!(
            told[0].starts_with(gain)
                && told[0].contains("-2.00 [-2.00, -2.00] in the tail; brackets are"),
            "{told:?}"
        );
        assert_eq!(
            told[1..],
            ["GPT-2, SFT and RLHF of run B: the same texts and rewards as those of run A."]
        );
    }

    #[test]
    fn texts_of_a_prompt_count_once() {
        let told = sentences(|files| {
            let texts = files.texts.as_mut().unwrap();
            let again: Vec<_> =
                texts.iter().filter(|row| row.method == "ra_rlhf").cloned().collect();
            texts.extend([again.clone(), again].concat());
        });
        assert_eq!(told[0], sentences(|_| {})[0]);
    }

    #[test]
    fn why_policies_are_not_compared_is_told() {
        let told = |change: &dyn Fn(&mut RunFiles)| sentences(change).concat();
        let text = told(&|files| files.texts.iter_mut().flatten().for_each(|row| row.seed = 2));
        assert!(
            text.starts_with(
                "GPT-2, SFT, RLHF and RA-RLHF of run B against those of run A: not \
                compared, as the two"
            ),
            "{text}"
        );
        assert!(text.ends_with("no seed in common."), "{text}");
        let text = told(&|files| files.texts = None);
        assert!(text.contains("no texts with rewards"), "{text}");
        let text =
            told(&|files| files.texts.iter_mut().flatten().for_each(|row| row.prompt += "!"));
        // their texts are the same, whatever their prompts
        assert!(
            text.contains(
                "RA-RLHF of run B against that of run A: not compared, as there are not two prompts"
            ),
            "{text}"
        );
        let other =
            Gains::new(2, &run(Kind::Others), &run(Kind::Gain)).unwrap().sentences(str::to_owned);
        assert_eq!(
            other,
            ["Run C is not compared with run A prompt by prompt, as they have no policy of the \
                 same name."]
        );
    }

    #[test]
    fn what_else_was_measured_is_compared_too() {
        let with = |kind: Kind, shift: f64| {
            let mut files = files(kind);
            files.results = files.results.replacen('{', "{\"cvar_share\":0.1,", 1);
            for (place, row) in files.texts.iter_mut().flatten().enumerate() {
                let value = (place % 3) as f64;
                (row.judge, row.kl, row.perplexity) =
                    (Some(value + shift), Some(value - shift), Some(value + 8.0 * shift));
            }
            Run::new(files).unwrap()
        };
        let told = Gains::new(1, &with(Kind::Loss, 1.0), &with(Kind::Gain, 0.5))
            .unwrap()
            .sentences(str::to_owned);
        for said in [
            "; CVaR 10 % -1.00 [",
            "; judge +0.50 [0.50, 0.50]",
            "; ppl generated +4.0 [",
            "; KL -0.50 [",
        ] {
            assert!(told[0].contains(said), "{said}: {told:?}");
        }
        assert_eq!([share_of(0.07, 100), share_of(0.4, 128), share_of(0.1, 3)], [7, 52, 1]);
    }

    #[test]
    fn kl_to_another_reference_is_not_compared() {
        let with = |kind: Kind, reference: &str| {
            let mut files = files(kind);
            files.results =
                files.results.replacen('{', &format!("{{\"reference\":\"{reference}\","), 1);
            for (place, row) in files.texts.iter_mut().flatten().enumerate() {
                row.kl = Some((place % 3) as f64);
            }
            Run::new(files).unwrap()
        };
        let told = |reference| {
            Gains::new(1, &with(Kind::Loss, reference), &with(Kind::Gain, "sft"))
                .unwrap()
                .sentences(str::to_owned)
        };
        assert!(told("sft")[0].contains("; KL +0.00 ["), "{:?}", told("sft"));
        assert!(
            !told("gpt2")[0].contains("KL") && told("gpt2")[0].contains(" on average"),
            "{:?}",
            told("gpt2")
        );
    }

    #[test]
    fn a_single_prompt_in_the_tail_is_told() {
        let told = sentences(|files| {
            files.texts.as_mut().unwrap().retain(|row| row.prompt.contains(['7']))
        });
        assert!(told[0].contains("on the 4 prompts") && !told[0].contains("But"), "{told:?}");
        let is_kept =
            |prompt: &str| prompt.starts_with("Prompt 1,") || prompt.starts_with("Prompt 3");
        let told =
            sentences(|files| files.texts.as_mut().unwrap().retain(|row| is_kept(&row.prompt)));
        assert!(!told[0].contains("But the tail is a single prompt"), "{told:?}");
        let is_kept =
            |prompt: &str| prompt.starts_with("Prompt 1,") || prompt.starts_with("Prompt 30");
        let told =
            sentences(|files| files.texts.as_mut().unwrap().retain(|row| is_kept(&row.prompt)));
        assert!(told[0].contains("But the tail is a single prompt"), "{told:?}");
    }
}

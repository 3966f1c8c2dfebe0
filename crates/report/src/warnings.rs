//! What must be said beneath the tables: above all reward hacking, where the reward rises, and a
//! judge that the policy was not trained on sees nothing of it.

use crate::arms::title;
use crate::comparison::{Comparison, Watched};
use crate::few::few_prompts;
use crate::figure::{Figure, gain};
use crate::results::Results;

/// One sentence for each arm that is not at the KL at which it was to be held, or whose reward has
/// risen over that of the arm it was made from, while the judge's score has not, or of which that
/// is not known; and one where there is a single prompt, or one in the tail.
#[must_use]
pub fn warnings(results: &Results) -> Vec<String> {
    let prompts = results.comparisons.first().map_or(usize::MAX, |comparison| comparison.prompts);
    let single = few_prompts(prompts, Some(results.tail.prompts))
        .map(|said| format!("{said}; raise evaluation.tail_threshold"));
    let named = |key: &str| title(&results.arms, key).to_owned();
    let begins = |comparison: &Comparison| {
        results
            .arms
            .iter()
            .any(|arm| arm.key == comparison.method && arm.from.as_ref() == Some(&comparison.over))
    };
    let off = results.equal_kl.iter().filter_map(|held| held.warning(&named(&held.method)));
    single
        .into_iter()
        .chain(off)
        .chain(rises_alone(&results.comparisons, &results.watched, named, begins))
        .collect()
}

/// The sentences of methods whose reward has risen over that of the one from which they began,
/// while the judge sees no rise: by their paired differences, of which one lies above 0 with all of
/// its interval, and the other does not. Of the comparisons those count of which `begins` says that
/// it is one with such a beginning; `named` says what a method is called.
#[must_use]
pub fn rises_alone(
    comparisons: &[Comparison],
    watched: &[Watched],
    named: impl Fn(&str) -> String,
    begins: impl Fn(&Comparison) -> bool,
) -> Vec<String> {
    let of_comparison = |compared: &Comparison| {
        hacking(&named(&compared.method), &named(&compared.over), compared.reward, compared.judge)
            .filter(|_| begins(compared))
    };
    let of_watched = |watched: &Watched| {
        let (method, over) = (named(&watched.method), named(&watched.over));
        match watched.reward {
            Some(reward) => hacking(&method, &over, reward, watched.judge),
            None => Some(format!(
                "whether {method} may please the reward model alone was not checked: {over}, from \
                 which it was made, has no figures in this run (run.arms)"
            )),
        }
    };
    comparisons
        .iter()
        .filter_map(of_comparison)
        .chain(watched.iter().filter_map(of_watched))
        .collect()
}

fn hacking(method: &str, over: &str, reward: Figure, judge: Option<Figure>) -> Option<String> {
    let judge = judge.filter(|judge| !judge.is_above_zero())?;
    reward.is_above_zero().then(|| {
        format!(
            "{method} may please the reward model alone: over {over} its reward gains {}, but the \
             held-out judge sees no clear gain: {}",
            gain(reward, 2),
            gain(judge, 2)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::tests::comparison;
    use crate::results::tests::results;

    /// Results in which RLHF gains so much over SFT in reward and judge, each with an interval of
    /// half a unit to both sides.
    fn with(reward: f64, judge: f64) -> Results {
        let figure = |mean| Figure {
            mean,
            se: Some(0.25),
            ci95: Some([mean - 0.5, mean + 0.5]),
            seeds_std: None,
        };
        let over_sft = Comparison { method: "rlhf".into(), over: "sft".into(), ..comparison() };
        let over_sft =
            Comparison { reward: figure(reward), judge: Some(figure(judge)), ..over_sft };
        // SFT's judge has an interval that reaches above RLHF's, which says nothing of prompts that
        // both have
        Results { comparisons: vec![comparison(), over_sft], ..results(&[1]) }
    }

    #[test]
    fn a_reward_that_rises_alone_is_told_with_its_numbers() {
        assert_eq!(
            warnings(&with(2.5, 0.25)),
            ["RLHF may please the reward model alone: over SFT its reward gains +2.50 [2.00, \
                 3.00], but the held-out judge sees no clear gain: +0.25 [-0.25, 0.75]"]
        );
    }

    #[test]
    fn a_tail_of_one_prompt_is_told() {
        let mut results = results(&[1]);
        assert_eq!(warnings(&results), [""; 0]);
        results.tail.prompts = 1;
        assert!(warnings(&results)[0].starts_with("the tail is a single prompt"));
        results.tail.prompts = 2;
        assert_eq!(warnings(&results), [""; 0]);
    }

    #[test]
    fn an_arm_that_is_not_at_its_kl_is_told() {
        let mut results = results(&[1]);
        results.equal_kl.extend(
            ["rlhf", "ra_rlhf"]
                .into_iter()
                .zip([4.1, 4.4])
                .filter_map(|(method, kl)| crate::HeldKl::of(method, 4.0, &[kl])),
        );
        let told = warnings(&results);
        assert!(told.len() == 1 && told[0].starts_with("RA-RLHF was to be held"), "{told:?}");
    }

    #[test]
    fn a_judge_that_agrees_and_a_reward_that_does_not_rise_are_no_cause() {
        // the intervals of the two judges' scores, half a unit to both sides, would meet
        assert!(warnings(&with(2.5, 0.75)).is_empty());
        assert!(warnings(&with(0.25, -2.0)).is_empty());
    }

    #[test]
    fn both_trained_policies_are_watched() {
        let mut results = with(2.5, 0.0);
        let other = Comparison { method: "ra_rlhf".into(), ..results.comparisons[1].clone() };
        results.comparisons.push(other);
        let told = warnings(&results);
        assert!(told.len() == 2 && told[1].starts_with("RA-RLHF"), "{told:?}");
    }

    #[test]
    fn an_arm_that_is_compared_with_others_alone_is_watched_all_the_same() {
        let mut results = with(2.5, 0.25);
        let Some(Comparison { method, over, reward, judge, .. }) = results.comparisons.pop() else {
            unreachable!()
        };
        let told =
            |watched: Watched| warnings(&Results { watched: vec![watched], ..results.clone() });
        let watched = Watched { method, over, reward: Some(reward), judge };
        assert!(
            told(watched.clone())[0].contains(
                "RLHF may please the reward model alone: over SFT its reward gains +2.50"
            )
        );
        let agrees = judge.map(|judge| Figure { ci95: Some([0.1, 0.4]), ..judge });
        assert!(told(Watched { judge: agrees, ..watched.clone() }).is_empty());
        assert_eq!(
            told(Watched { reward: None, judge: None, ..watched }),
            ["whether RLHF may please the reward model alone was not checked: SFT, from which \
                 it was made, has no figures in this run (run.arms)"]
        );
    }

    #[test]
    fn without_sft_or_without_a_judge_there_is_nothing_to_say() {
        let mut results = with(2.5, 0.25);
        results.comparisons[1].judge = None;
        assert!(warnings(&results).is_empty());
        results.comparisons.truncate(1);
        assert!(warnings(&results).is_empty());
    }
}

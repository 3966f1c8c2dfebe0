//! What must be said beneath the tables: above all reward hacking, where the reward rises, and a judge that the policy was not
//! trained on sees nothing of it.

use crate::few::few_prompts;
use crate::results::{Figure, Method, MethodResults, Results};
use crate::table::number;

/// One sentence for each of RLHF and RA-RLHF whose reward has risen over SFT's while the judge's score has not, and one where
/// the tail is a single prompt, or intervals rest on few.
///
/// A figure has risen where its 95 % interval lies above that of SFT.
#[must_use]
pub fn warnings(results: &Results) -> Vec<String> {
    let single = (results.tail.prompts == 1).then(|| {
        "the tail is a single prompt, so that with one seed its interval is a point and says nothing: \
         raise evaluation.tail_threshold"
            .to_owned()
    });
    let prompts = results.comparisons.first().map(|comparison| comparison.prompts);
    let few = prompts.filter(|_| single.is_none()).and_then(|prompts| few_prompts(prompts, Some(results.tail.prompts)));
    single.into_iter().chain(few).chain(hacked(results)).collect()
}

fn hacked(results: &Results) -> Vec<String> {
    let Some(sft) = results.methods.get(&Method::Sft) else { return Vec::new() };
    let figures = |policy: &MethodResults| Some([policy.reward, policy.judge?]);
    let sentence = |method| warning(method, figures(sft)?, figures(results.methods.get(&method)?)?);
    [Method::Rlhf, Method::RaRlhf].into_iter().filter_map(sentence).collect()
}

/// The sentence of one method, from the reward and the judge's score of SFT and of itself.
#[must_use]
pub fn warning(method: Method, sft: [Figure; 2], policy: [Figure; 2]) -> Option<String> {
    let [reward_rises, judge_rises] = [0, 1].map(|which| policy[which].ci95[0] > sft[which].ci95[1]);
    let [[sft_reward, sft_judge], [reward, judge]] = [sft, policy].map(|pair| pair.map(|figure| number(figure.mean, 2)));
    (reward_rises && !judge_rises).then(|| {
        format!(
            "{method} may please the reward model alone: its reward rises from {sft_reward} (SFT) to {reward}, \
             but the held-out judge gives {judge}, which does not lie above its {sft_judge} for SFT"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::results;

    /// Results with these rewards and judge's scores of SFT and RLHF, each with an interval of half a unit to both sides.
    fn with(rewards: [f64; 2], judge: [f64; 2]) -> Results {
        let mut results = results(&[1]);
        results.methods.remove(&Method::RaRlhf);
        let figure = |mean| Figure { mean, std: 0.25, ci95: [mean - 0.5, mean + 0.5] };
        for (method, place) in [(Method::Sft, 0), (Method::Rlhf, 1)] {
            let policy = results.methods.get_mut(&method).unwrap();
            (policy.reward, policy.judge) = (figure(rewards[place]), Some(figure(judge[place])));
        }
        results
    }

    #[test]
    fn a_reward_that_rises_alone_is_told_with_its_numbers() {
        let told = warnings(&with([1.0, 3.5], [0.25, 0.75]));
        assert_eq!(
            told,
            ["RLHF may please the reward model alone: its reward rises from 1.00 (SFT) to 3.50, \
              but the held-out judge gives 0.75, which does not lie above its 0.25 for SFT"]
        );
    }

    #[test]
    fn a_tail_of_one_prompt_is_told() {
        let mut results = results(&[1]);
        results.methods.clear();
        assert_eq!(warnings(&results), [""; 0]);
        results.tail.prompts = 1;
        assert!(warnings(&results)[0].contains("a single prompt"));
        results.comparisons = vec![crate::comparison::tests::comparison()];
        assert_eq!(warnings(&results).len(), 1, "{:?}", warnings(&results));
        results.tail.prompts = 4;
        assert!(warnings(&results)[0].contains("rest on 4 prompts in the tail"), "{:?}", warnings(&results));
    }

    #[test]
    fn a_judge_that_agrees_and_a_reward_that_does_not_rise_are_no_cause() {
        assert!(warnings(&with([1.0, 3.5], [0.25, 1.5])).is_empty());
        assert!(warnings(&with([1.0, 1.75], [0.25, -2.0])).is_empty(), "the intervals of the reward meet");
    }

    #[test]
    fn both_trained_policies_are_watched() {
        let mut results = with([1.0, 3.5], [0.25, 0.25]);
        let rlhf = results.methods[&Method::Rlhf].clone();
        results.methods.insert(Method::RaRlhf, rlhf);
        let told = warnings(&results);
        assert!(told.len() == 2 && told[1].starts_with("RA-RLHF"), "{told:?}");
    }

    #[test]
    fn without_sft_or_without_a_judge_there_is_nothing_to_say() {
        let mut results = with([1.0, 3.5], [0.25, 0.25]);
        results.methods.values_mut().for_each(|policy| policy.judge = None);
        assert!(warnings(&results).is_empty());
        let mut results = with([1.0, 3.5], [0.25, 0.25]);
        results.methods.remove(&Method::Sft);
        assert!(warnings(&results).is_empty());
    }
}

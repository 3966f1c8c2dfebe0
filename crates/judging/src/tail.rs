//! Which texts are the tail: one threshold for all methods.

use std::collections::HashSet;

use tailguard_data::Generations;
use tailguard_metrics::at_or_below;
use tailguard_report::{EvaluatedTail, number};
use tailguard_risk::{RiskLevel, quantile};

use crate::error::JudgingError;
use crate::groups::Group;
use crate::rows::{finite, prompt_or_row};

/// What `tail` is the mean of: the texts of the prompts that score at most a threshold, which may
/// be the quantile of a share; the texts that score so themselves, where no prompt has a score;
/// nothing without scores.
///
/// # Errors
/// When a metric refuses its input.
pub(crate) fn tail(
    texts: &Generations,
    groups: &[Group],
    threshold: Option<f64>,
    level: RiskLevel,
) -> Result<Option<EvaluatedTail>, JudgingError> {
    if texts.scores.is_none() && texts.judge.is_none() {
        return Ok(None);
    }
    let scores = Some(different_scores(texts)).filter(|scores| !scores.is_empty());
    let tail = match (scores, threshold) {
        (None, None) => EvaluatedTail::LowestScores { share: level.alpha() },
        (None, Some(threshold)) => EvaluatedTail::OwnScores { threshold },
        (Some(scores), threshold) => {
            let share = if threshold.is_some() { None } else { Some(level.alpha()) };
            let threshold = threshold.map_or_else(|| quantile(&scores, level), Ok)?;
            EvaluatedTail::PromptScores {
                threshold,
                share,
                prompts: prompts_in_tail(texts, groups, threshold)?,
            }
        }
    };
    Ok(Some(tail))
}

/// How many prompts of each method and seed are in the tail, if it is the same number for all. Rows
/// without a prompt count one by one.
fn prompts_in_tail(
    texts: &Generations,
    groups: &[Group],
    threshold: f64,
) -> Result<Option<usize>, JudgingError> {
    let mut counts = Vec::new();
    for group in groups {
        counts.push(different_prompts(texts, &in_tail(texts, &group.rows, threshold)?));
    }
    counts.dedup();
    Ok(if let [count] = counts[..] { Some(count) } else { None })
}

/// How many prompts these rows have. Rows without a prompt count one by one.
pub(crate) fn different_prompts(texts: &Generations, rows: &[usize]) -> usize {
    rows.iter().map(|&row| prompt_or_row(texts, row)).collect::<HashSet<_>>().len()
}

/// Those of the rows whose prompts score at most a threshold.
pub(crate) fn in_tail(
    texts: &Generations,
    rows: &[usize],
    threshold: f64,
) -> Result<Vec<usize>, JudgingError> {
    let scored = rows.iter().filter_map(|&row| Some((row, finite(&texts.prompt_scores, row)?)));
    let (rows, scores): (Vec<usize>, Vec<f64>) = scored.unzip();
    let low = if scores.is_empty() { Vec::new() } else { at_or_below(&scores, threshold)? };
    Ok(low.into_iter().map(|place| rows[place]).collect())
}

/// The finite score of each different prompt, however many texts it has. Rows without a prompt
/// count one by one.
fn different_scores(texts: &Generations) -> Vec<f64> {
    let mut seen = HashSet::new();
    let scored = (0..texts.responses.len())
        .filter_map(|row| Some((row, finite(&texts.prompt_scores, row)?)));
    scored
        .filter(|(row, _)| seen.insert(prompt_or_row(texts, *row)))
        .map(|(_, score)| score)
        .collect()
}

/// Says that a tail by a share is noticeably more than that share, as many prompts score alike.
pub(crate) fn ties(texts: &Generations, tail: &EvaluatedTail, level: RiskLevel) -> Option<String> {
    let EvaluatedTail::PromptScores { threshold, share: Some(_), .. } = *tail else { return None };
    let scores = different_scores(texts);
    let (found, wanted) = (at_or_below(&scores, threshold).ok()?.len(), level.count(scores.len()));
    (found as f64 > 1.1 * wanted as f64).then(|| {
        let [real, share] = [found as f64 / scores.len() as f64, level.alpha()]
            .map(|share| number(100.0 * share, 1).replace(".0", ""));
        format!(
            "the tail is {real} % of the prompts, not the lowest {share} %: so many score \
            {threshold} or less"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(prompts: &[&str], scores: &[f64]) -> Generations {
        let texts = || prompts.iter().copied().map(Some).collect();
        let scores = scores.iter().copied().map(Some).collect();
        Generations {
            prompts: Some(texts()),
            responses: texts(),
            prompt_scores: Some(scores),
            ..Generations::default()
        }
    }

    #[test]
    fn the_score_of_a_prompt_counts_once_however_many_texts_it_has() {
        let mut all = texts(&["a", "a", "b", "c", "a"], &[-1.0, -1.0, f64::NAN, 2.0, -1.0]);
        assert_eq!(different_scores(&all), [-1.0, 2.0]);
        all.prompts = None;
        assert_eq!(different_scores(&all), [-1.0, -1.0, 2.0, -1.0]);
    }

    #[test]
    fn the_tail_is_by_the_scores_that_there_are() {
        let mut all = texts(&["a", "b", "c", "d"], &[0.0, -1.0, 2.0, 3.0]);
        let groups = [Group { method: "m".to_owned(), seed: None, rows: (0..4).collect() }];
        let level = RiskLevel::new(0.5).unwrap();
        assert_eq!(tail(&all, &groups, None, level).unwrap(), None, "there are no scores of texts");
        all.judge = Some(vec![Some(1.0); 4]);
        let found = tail(&all, &groups, None, level).unwrap();
        assert_eq!(
            found,
            Some(EvaluatedTail::PromptScores {
                threshold: 0.0,
                share: Some(0.5),
                prompts: Some(2)
            })
        );
        let found = tail(&all, &groups, Some(-1.0), level).unwrap();
        assert_eq!(
            found,
            Some(EvaluatedTail::PromptScores { threshold: -1.0, share: None, prompts: Some(1) })
        );
        all.prompt_scores = None;
        assert_eq!(
            tail(&all, &groups, None, level).unwrap(),
            Some(EvaluatedTail::LowestScores { share: 0.5 })
        );
        assert_eq!(
            tail(&all, &groups, Some(1.0), level).unwrap(),
            Some(EvaluatedTail::OwnScores { threshold: 1.0 })
        );
    }

    #[test]
    fn a_tail_of_more_prompts_than_its_share_is_told() {
        let all = texts(&["a", "b", "c", "d"], &[0.0; 4]);
        let level = RiskLevel::new(0.25).unwrap();
        let tail = |share| EvaluatedTail::PromptScores { threshold: 0.0, share, prompts: None };
        let said = ties(&all, &tail(Some(0.25)), level).unwrap();
        assert_eq!(
            said,
            "the tail is 100 % of the prompts, not the lowest 25 %: so many score 0 or less"
        );
        assert_eq!(ties(&all, &tail(None), level), None);
    }
}

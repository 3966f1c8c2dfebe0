//! What must be said beneath the tables of texts of a file.

use std::collections::HashSet;

use anyhow::Result;
use tailguard_data::Generations;
use tailguard_metrics::at_or_below;
use tailguard_report::{EvaluatedMethod, EvaluatedTail, few_prompts, number};
use tailguard_risk::RiskLevel;

use super::args::EvaluateArgs;
use super::figures::Wanted;
use super::groups::Group;
use super::reading::PROMPT;

/// Says that prompts are missing, where whole texts are not what was asked for.
pub(super) fn without_prompts(args: &EvaluateArgs, texts: &Generations) -> Option<String> {
    let Some(prompts) = &texts.prompts else {
        let note = format!("there is no column {PROMPT:?} (in JSONL, on the first line): texts are judged without prompts");
        return args.columns.text_column.is_none().then_some(note);
    };
    let missing = (0..prompts.len()).filter(|&row| prompts.get(row).is_none()).count();
    (missing > 0).then(|| format!("{missing} of {} rows have no prompt", prompts.len()))
}

/// Says that a scorer reads the last word of most prompts and the first of their responses as one.
pub(super) fn without_spaces(texts: &Generations) -> Option<String> {
    let prompts = texts.prompts.as_ref()?;
    let both = |row: usize| Some((prompts.get(row)?, texts.responses.get(row)?));
    let pairs =
        (0..texts.responses.len()).filter_map(both).filter(|(prompt, response)| !prompt.is_empty() && !response.is_empty());
    // scripts without capitals may have no spaces either
    let is_letter = |character: char| character.is_lowercase() || character.is_uppercase();
    let joined = |(prompt, response): &(&str, &str)| response.starts_with(is_letter) && !prompt.ends_with(char::is_whitespace);
    let (mut count, mut glued) = (0, 0);
    for pair in pairs {
        count += 1;
        glued += usize::from(joined(&pair));
    }
    (2 * glued > count).then(|| {
        format!(
            "{glued} of {count} responses begin with a letter right behind a prompt that does not end in white space: --reward and --judge \
             read both with nothing between them, so that the file should keep the space that parts them"
        )
    })
}

/// Says that a tail by a share is noticeably more than that share, as many prompts score alike.
pub(super) fn ties(texts: &Generations, tail: &EvaluatedTail, level: RiskLevel) -> Option<String> {
    let EvaluatedTail::PromptScores { threshold, share: Some(_), .. } = *tail else { return None };
    let scores = different_scores(texts);
    let (found, wanted) = (at_or_below(&scores, threshold).ok()?.len(), level.count(scores.len()));
    (found as f64 > 1.1 * wanted as f64).then(|| {
        let [real, share] =
            [found as f64 / scores.len() as f64, level.alpha()].map(|share| number(100.0 * share, 1).replace(".0", ""));
        format!("the tail is {real} % of the prompts, not the lowest {share} %: so many score {threshold} or less")
    })
}

/// The finite score of each different prompt, however many texts it has. Rows without a prompt count one by one.
pub(super) fn different_scores(texts: &Generations) -> Vec<f64> {
    let mut seen = HashSet::new();
    let scores = texts.prompt_scores.iter().flatten().enumerate();
    let scored = scores.filter_map(|(row, score)| Some((row, score.filter(|score| score.is_finite())?)));
    let prompt = |row: usize| texts.prompts.as_ref().and_then(|prompts| prompts.get(row)).ok_or(row);
    scored.filter(|(row, _)| seen.insert(prompt(*row))).map(|(_, score)| score).collect()
}

/// Says that a curve or groups were asked for which a method has not.
pub(super) fn without_curves(name: &str, method: &EvaluatedMethod, wanted: &Wanted) -> Option<String> {
    let lacks_curve = wanted.curve && method.curve.is_empty();
    if !lacks_curve && (wanted.buckets.is_none() || !method.buckets.is_empty()) {
        return None;
    }
    let reason = match wanted.tail {
        _ if method.seeds > 1 => "it has several seeds",
        Some(EvaluatedTail::PromptScores { .. }) => "too few of its texts have a score and a prompt with a score",
        _ => "its prompts have no scores",
    };
    Some(format!("{name}: no {}, as {reason}", if lacks_curve { "curve" } else { "buckets" }))
}

/// Says that intervals rest on a single prompt: those of the method and seed that has the fewest.
///
/// # Errors
/// When a metric refuses its input.
pub(super) fn few(texts: &Generations, groups: &[Group], tail: Option<&EvaluatedTail>) -> Result<Option<String>> {
    let Some(prompts) = &texts.prompts else { return Ok(None) };
    let has = |scores: &Option<Vec<Option<f64>>>, row: usize| {
        scores.as_ref().is_none_or(|scores| scores[row].is_some_and(f64::is_finite))
    };
    let different = |rows: &[usize]| rows.iter().map(|&row| prompts.get(row).ok_or(row)).collect::<HashSet<_>>().len();
    let (mut fewest, mut fewest_in_tail) = (usize::MAX, usize::MAX);
    for group in groups {
        let rows: Vec<usize> = group.rows.iter().copied().filter(|&row| has(&texts.scores, row)).collect();
        if rows.is_empty() {
            continue;
        }
        fewest = fewest.min(different(&rows));
        if let Some(EvaluatedTail::PromptScores { threshold, .. }) = tail {
            // an empty tail has no interval
            let count = different(&in_tail(texts, &rows, *threshold)?);
            fewest_in_tail = if count > 0 { fewest_in_tail.min(count) } else { fewest_in_tail };
        }
    }
    Ok(few_prompts(fewest, Some(fewest_in_tail)))
}

/// Those of the rows whose prompts score at most a threshold.
pub(super) fn in_tail(texts: &Generations, rows: &[usize], threshold: f64) -> Result<Vec<usize>> {
    let Some(scores) = &texts.prompt_scores else { return Ok(Vec::new()) };
    let scored = rows.iter().filter_map(|&row| Some((row, scores[row].filter(|score| score.is_finite())?)));
    let (rows, scores): (Vec<usize>, Vec<f64>) = scored.unzip();
    let low = if scores.is_empty() { Vec::new() } else { at_or_below(&scores, threshold)? };
    Ok(low.into_iter().map(|place| rows[place]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> Generations {
        let prompts = pairs.iter().map(|(prompt, _)| Some(*prompt)).collect();
        let responses = pairs.iter().map(|(_, response)| Some(*response)).collect();
        Generations { prompts: Some(prompts), responses, ..Generations::default() }
    }

    #[test]
    fn responses_that_lost_their_space_are_told() {
        let told = |pairs: &[(&str, &str)]| without_spaces(&texts(pairs)).unwrap_or_default();
        let glued = told(&[("This film", "is good"), ("That", "Is"), ("A", ", b")]);
        assert!(glued.starts_with("2 of 3 responses begin with a letter"), "{glued}");
        assert_eq!(told(&[("This film", " is good"), ("That ", "is"), ("A", "b")]), "");
        assert_eq!(told(&[("这部电影", "很好"), ("这部", "电影")]), "", "a script without spaces");
        assert_eq!(told(&[("", "whole"), ("a", "")]), "");
    }

    #[test]
    fn the_score_of_a_prompt_counts_once_however_many_texts_it_has() {
        let mut all = texts(&[("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("a", "z")]);
        all.prompt_scores = Some(vec![Some(-1.0), Some(-1.0), Some(f64::NAN), Some(2.0), Some(-1.0)]);
        assert_eq!(different_scores(&all), [-1.0, 2.0]);
        all.prompts = None;
        assert_eq!(different_scores(&all), [-1.0, -1.0, 2.0, -1.0]);
    }

    #[test]
    fn few_prompts_are_counted_in_the_group_that_has_the_fewest() {
        let mut all = texts(&[("a", "x"), ("a", "y"), ("b", "x"), ("c", "x"), ("d", "x")]);
        all.scores = Some(vec![Some(1.0), Some(2.0), Some(1.0), None, Some(f64::NAN)]);
        all.prompt_scores = Some([-1.0, -1.0, 0.0, -2.0, -2.0].map(Some).to_vec());
        let group =
            |method: &str, rows: std::ops::Range<usize>| Group { method: method.to_owned(), seed: None, rows: rows.collect() };
        let tail = EvaluatedTail::PromptScores { threshold: -0.5, share: None, prompts: None };
        let said = few(&all, &[group("m", 0..5)], Some(&tail)).unwrap().unwrap();
        assert!(said.starts_with("the tail is a single prompt"), "{said}");
        let said = few(&all, &[group("m", 0..5), group("n", 0..2)], None).unwrap().unwrap();
        assert!(said.starts_with("there is a single prompt"), "{said}");
        all.prompts = None;
        assert_eq!(few(&all, &[group("m", 0..5)], None).unwrap(), None);
    }
}

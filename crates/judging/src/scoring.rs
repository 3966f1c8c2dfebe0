//! Scores of the texts of a table by a model, few texts in memory together.

use std::collections::HashMap;

use tailguard_data::{Generations, Scores, Texts};
use tailguard_reward::{RewardError, ScoredText, score_texts};

use crate::error::JudgingError;
use crate::rows::prompt;
use crate::scorer::Scorer;

/// Texts that a model scores between two calls of whoever is told.
const SCORED: usize = 4_096;

/// How far the scoring of a table is. It is told of before the first texts are scored, and after
/// every few thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scoring {
    /// What is done, as in `scoring prompts`.
    pub phase: &'static str,
    /// Pieces that are scored.
    pub done: usize,
    /// Pieces that there are.
    pub pieces: usize,
    /// Texts of the piece that was scored last.
    pub texts: usize,
}

/// Is told how far scoring is.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(Scoring);

/// What is scored.
#[derive(Clone, Copy)]
pub(crate) struct Phase {
    name: &'static str,
    /// What is scored, in notes.
    what: &'static str,
}

/// Prompt and response, by the reward model.
pub(crate) const WHOLE: Phase = Phase { name: "scoring", what: "texts" };
/// Prompts alone, by the reward model.
pub(crate) const PROMPTS: Phase = Phase { name: "scoring prompts", what: "prompts" };
/// Prompt and response, by the judge.
pub(crate) const JUDGED: Phase = Phase { name: "judging", what: "texts" };

/// Scores of prompt and response, or of the whole text; nothing for a row without a response.
/// `said` is added to.
///
/// # Errors
/// Texts that cannot be scored, by their rows.
pub(crate) fn scored_whole(
    scorer: &Scorer,
    phase: Phase,
    texts: &Generations,
    said: &mut Vec<String>,
    tell: Tell<'_>,
) -> Result<Scores, JudgingError> {
    let rows: Vec<usize> =
        (0..texts.responses.len()).filter(|&row| texts.responses.get(row).is_some()).collect();
    let whole = |row: usize| {
        let response = texts.responses.get(row).unwrap_or_default();
        ScoredText::new(prompt(texts, row).unwrap_or_default(), response)
    };
    let mut scores = vec![None; texts.responses.len()];
    for (row, score) in rows.iter().zip(scored(scorer, phase, &rows, whole, said, tell)?) {
        scores[*row] = Some(score);
    }
    Ok(scores)
}

/// Scores of texts of which many are alike, as the prompts of several methods are. `said` is added
/// to.
///
/// # Errors
/// As those of [`scored_whole`].
pub(crate) fn scored_once(
    scorer: &Scorer,
    texts: &Texts,
    said: &mut Vec<String>,
    tell: Tell<'_>,
) -> Result<Scores, JudgingError> {
    let (mut numbers, mut rows) = (HashMap::new(), Vec::new());
    for (row, text) in (0..texts.len()).filter_map(|row| Some((row, texts.get(row)?))) {
        numbers.entry(text).or_insert_with(|| {
            rows.push(row);
            rows.len() - 1
        });
    }
    let prompt = |row: usize| ScoredText::whole(texts.get(row).unwrap_or_default());
    let scores = scored(scorer, PROMPTS, &rows, prompt, said, tell)?;
    Ok((0..texts.len()).map(|row| Some(scores[*numbers.get(texts.get(row)?)?])).collect())
}

/// The score of the text of each of these rows. Texts that are cut are told of.
fn scored(
    scorer: &Scorer,
    phase: Phase,
    rows: &[usize],
    text: impl Fn(usize) -> ScoredText,
    said: &mut Vec<String>,
    tell: Tell<'_>,
) -> Result<Vec<f64>, JudgingError> {
    let (mut scores, mut cut) = (Vec::with_capacity(rows.len()), 0);
    let pieces = rows.len().div_ceil(SCORED);
    tell(Scoring { phase: phase.name, done: 0, pieces, texts: 0 });
    for (piece, rows) in rows.chunks(SCORED).enumerate() {
        let texts: Vec<ScoredText> = rows.iter().map(|&row| text(row)).collect();
        let found =
            score_texts(&*scorer.model, &texts).map_err(|error| in_row(error, phase, rows))?;
        cut += found.cut.iter().filter(|cut| **cut).count();
        scores.extend(found.scores.into_iter().map(f64::from));
        tell(Scoring { phase: phase.name, done: piece + 1, pieces, texts: rows.len() });
    }
    said.extend(scorer.cut_note(cut, rows.len(), phase.what));
    Ok(scores)
}

/// Says in which row of the table the text is that could not be scored.
fn in_row(error: RewardError, phase: Phase, rows: &[usize]) -> JudgingError {
    let index = match &error {
        RewardError::Score { index, .. }
        | RewardError::NothingOfResponse { index, .. }
        | RewardError::NoTokens { index }
        | RewardError::NotFinite { index, .. } => rows.get(*index),
        _ => None,
    };
    let doing = match index {
        Some(row) => format!("row {}: {} failed", row + 1, phase.name),
        None => "failed to score texts".to_owned(),
    };
    JudgingError::scorer(doing)(error)
}

#[cfg(test)]
mod tests {
    use tailguard_reward::from_fn;

    use super::*;

    fn length() -> Scorer {
        let model = from_fn(|prompt: &str, response: &str| {
            if response.contains('!') {
                Err("too loud".into())
            } else {
                Ok((prompt.len() * 10 + response.len()) as f32)
            }
        });
        Scorer::brought("reward", Box::new(model))
    }

    #[test]
    fn texts_are_scored_by_row_and_what_is_not_there_is_not() {
        let texts = Generations {
            prompts: Some([Some("ab"), None, Some("ab"), Some("c")].into_iter().collect()),
            responses: [Some("x"), Some("yz"), None, Some("")].into_iter().collect(),
            ..Generations::default()
        };
        let (mut said, mut told) = (Vec::new(), Vec::new());
        let scores =
            scored_whole(&length(), WHOLE, &texts, &mut said, &mut |scoring| told.push(scoring))
                .unwrap();
        assert_eq!(scores, [Some(21.0), Some(2.0), None, Some(10.0)]);
        let of = |done, texts| Scoring { phase: "scoring", done, pieces: 1, texts };
        assert_eq!((told, said.len()), (vec![of(0, 0), of(1, 3)], 0));
        // a prompt has no response
        let prompts =
            scored_once(&length(), texts.prompts.as_ref().unwrap(), &mut said, &mut |_| {})
                .unwrap();
        assert_eq!(prompts, [Some(2.0), None, Some(2.0), Some(1.0)]);
    }

    #[test]
    fn a_text_that_cannot_be_scored_is_named_by_its_row() {
        let message = |error: JudgingError| {
            format!("{error}: {}", std::error::Error::source(&error).unwrap())
        };
        let error = in_row(RewardError::NoTokens { index: 1 }, PROMPTS, &[3, 7]);
        assert_eq!(
            message(error),
            "row 8: scoring prompts failed: text 1 has no tokens, expected at least one"
        );
        let texts = Generations {
            responses: [Some("loud!")].into_iter().collect(),
            ..Generations::default()
        };
        let error =
            scored_whole(&length(), JUDGED, &texts, &mut Vec::new(), &mut |_| {}).unwrap_err();
        assert_eq!(message(error), "failed to score texts: too loud");
    }
}

//! Whole sequences through a model: log-probabilities, values and entropies of tokens that are
//! known already.

use tailguard_kernels::side_by_side;
use tailguard_lm::{CausalLm, LmSizes, Predictions, TokenDistribution, ValueHead};

use crate::buckets::scored_batches;
use crate::config::{check_batch_size, check_cuts};
use crate::engine::{check_device, check_length, check_tokens, host};
use crate::error::RolloutError;

/// A prompt and the response to be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence<'a> {
    /// Token ids that are given, at least one.
    pub prompt: &'a [u32],
    /// Token ids that are scored; may be empty.
    pub response: &'a [u32],
}

/// What a model says about a response: one entry per response token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenScores {
    /// Log-probabilities in nats.
    pub log_probs: Vec<f32>,
    /// Values of the states before each token; empty if there was no value head.
    pub values: Vec<f32>,
    /// Entropies of the distributions in nats.
    pub entropies: Vec<f32>,
}

/// Scores responses by one forward pass per batch of at most `batch_size` sequences of like length.
///
/// With the policy that sampled them it gives again what [`generate`](crate::generate) noted, up to
/// rounding; with the reference model it gives the reference log-probabilities of Eq. 5 of arXiv
/// 2501.06911.
///
/// # Errors
/// Settings, sequences and models that cannot be scored, each by its own [`RolloutError`];
/// [`RolloutError::NotFinite`] if the model gives numbers that are none.
#[tracing::instrument(level = "debug", skip_all, fields(sequences = sequences.len()))]
pub fn log_probs_of<M: CausalLm>(
    model: &M,
    value_head: Option<&ValueHead>,
    sequences: &[Sequence<'_>],
    distribution: &TokenDistribution,
    batch_size: usize,
) -> Result<Vec<TokenScores>, RolloutError> {
    check_batch_size(batch_size)?;
    check_cuts(distribution.temperature, 1.0)?;
    check_device(&model.device())?;
    let sizes = model.sizes();
    for (row, sequence) in sequences.iter().enumerate() {
        check_sequence(&sizes, row, sequence, distribution)?;
    }
    let mut scores = vec![TokenScores::default(); sequences.len()];
    // what has no response needs no forward pass
    let rows: Vec<usize> =
        (0..sequences.len()).filter(|&row| !sequences[row].response.is_empty()).collect();
    let lengths: Vec<usize> = rows
        .iter()
        .map(|&row| sequences[row].prompt.len() + sequences[row].response.len())
        .collect();
    let device = model.device();
    let batches = scored_batches(&lengths, batch_size, &device).into_iter();
    let batches: Vec<Vec<usize>> =
        batches.map(|batch| batch.into_iter().map(|at| rows[at]).collect()).collect();
    let scored = side_by_side(&device, &batches, |rows| {
        let batch: Vec<Sequence<'_>> = rows.iter().map(|&row| sequences[row]).collect();
        score_batch(model, value_head, &batch, distribution)
    });
    for (rows, scored) in batches.iter().zip(scored) {
        let (log_probs, values, entropies) = scored?;
        let mut start = 0;
        for &row in rows {
            let tokens = start..start + sequences[row].response.len();
            start = tokens.end;
            scores[row] = TokenScores {
                log_probs: finite(&log_probs[tokens.clone()], "log-probabilities", row)?,
                values: values.as_ref().map_or(Ok(Vec::new()), |values| {
                    finite(&values[tokens.clone()], "values", row)
                })?,
                entropies: finite(&entropies[tokens], "entropies", row)?,
            };
        }
    }
    Ok(scores)
}

/// Negative log-likelihood of each token of each text, in nats: the ground of perplexity.
///
/// With `bos` that token is put in front of every text, so that the first token counts too; without
/// it the first token is given and not scored, and a text of one token, or of none, has no entry.
///
/// # Errors
/// As [`log_probs_of`].
pub fn token_nlls<M: CausalLm>(
    model: &M,
    texts: &[Vec<u32>],
    bos: Option<u32>,
    batch_size: usize,
) -> Result<Vec<Vec<f32>>, RolloutError> {
    let bos = bos.map(|id| [id]);
    let sequences: Vec<Sequence<'_>> = texts
        .iter()
        .map(|text| match &bos {
            Some(bos) => Sequence { prompt: bos, response: text },
            None => {
                let (prompt, response) = text.split_at(text.len().min(1));
                Sequence { prompt, response }
            }
        })
        .collect();
    let scores = log_probs_of(model, None, &sequences, &TokenDistribution::default(), batch_size)?;
    Ok(scores
        .into_iter()
        .map(|scores| scores.log_probs.into_iter().map(|log_prob| -log_prob).collect())
        .collect())
}

fn check_sequence(
    model: &LmSizes,
    row: usize,
    sequence: &Sequence<'_>,
    distribution: &TokenDistribution,
) -> Result<(), RolloutError> {
    let Sequence { prompt, response } = sequence;
    if prompt.is_empty() && !response.is_empty() {
        return Err(RolloutError::EmptyPrompt { row });
    }
    check_tokens(model, row, prompt)?;
    check_tokens(model, row, response)?;
    check_length(model, row, prompt.len(), response.len())?;
    match response.iter().position(|&id| distribution.suppress == Some(id)) {
        Some(position) => Err(RolloutError::Suppressed { row, position, id: response[position] }),
        None => Ok(()),
    }
}

/// Log-probabilities, values and entropies of all response tokens of a batch, row after row.
type FlatScores = (Vec<f32>, Option<Vec<f32>>, Vec<f32>);

fn score_batch<M: CausalLm>(
    model: &M,
    value_head: Option<&ValueHead>,
    batch: &[Sequence<'_>],
    distribution: &TokenDistribution,
) -> Result<FlatScores, RolloutError> {
    let device = model.device();
    let whole: Vec<Vec<u32>> =
        batch.iter().map(|sequence| [sequence.prompt, sequence.response].concat()).collect();
    let whole: Vec<&[u32]> = whole.iter().map(Vec::as_slice).collect();
    let first: Vec<usize> = batch.iter().map(|sequence| sequence.prompt.len()).collect();
    let batch = Predictions::new(&whole, &first, 0, &device)?;
    let states = model.predicting(&batch)?; // [response tokens, width]
    let values = value_head.map(|head| host(head.forward(states.clone()), "values")).transpose()?;
    let stats = model.token_stats(states, batch.targets, distribution);
    Ok((host(stats.log_probs, "log-probabilities")?, values, host(stats.entropies, "entropies")?))
}

/// A copy of one row's numbers, all of them finite.
fn finite(numbers: &[f32], what: &'static str, row: usize) -> Result<Vec<f32>, RolloutError> {
    match numbers.iter().position(|number| !number.is_finite()) {
        Some(position) => Err(RolloutError::NotFinite { what, row, position }),
        None => Ok(numbers.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{VOCAB, model, prompts, value_head};
    use proptest::prelude::*;
    use tailguard_lm::TokenBatch;
    use tailguard_tests::close;

    const PLAIN: TokenDistribution = TokenDistribution { temperature: 1.0, suppress: None };

    fn refused(sequence: Sequence<'_>, distribution: &TokenDistribution) -> RolloutError {
        let fine = Sequence { prompt: &[1], response: &[2] };
        log_probs_of(&model(1), None, &[fine, sequence], distribution, 4).unwrap_err()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn batches_do_not_change_scores(
            lengths in prop::collection::vec((1usize..8, 0usize..12), 1..8),
            batch_size in 1usize..5,
        ) {
            let texts = prompts(
                &lengths.iter().map(|(prompt, response)| prompt + response).collect::<Vec<_>>(),
            );
            let split = |row: usize| texts[row].ids.split_at(lengths[row].0);
            let sequences: Vec<Sequence<'_>> = (0..lengths.len())
                .map(|row| Sequence { prompt: split(row).0, response: split(row).1 })
                .collect();
            let together =
                log_probs_of(&model(1), Some(&value_head()), &sequences, &PLAIN, batch_size)
                    .unwrap();
            for (scores, sequence) in together.iter().zip(&sequences) {
                let alone =
                    log_probs_of(&model(1), Some(&value_head()), &[*sequence], &PLAIN, 1).unwrap();
                prop_assert_eq!(scores.log_probs.len(), sequence.response.len());
                close(&scores.log_probs, &alone[0].log_probs, 1e-4, "log-probabilities");
                close(&scores.values, &alone[0].values, 1e-4, "values");
                close(&scores.entropies, &alone[0].entropies, 1e-4, "entropies");
            }
        }
    }

    #[test]
    fn scores_are_log_softmax_of_the_logits_before_each_token() {
        let (model, ids) = (model(1), [5u32, 9, 200, 7]);
        let tokens = TokenBatch::right_padded(&[&ids], 0, &model.device()).unwrap();
        let logits = model
            .logits(model.hidden(&tokens).unwrap().squeeze_dim::<2>(0))
            .try_into_vec_as::<f32>()
            .unwrap();
        let distribution = TokenDistribution { temperature: 0.7, suppress: Some(30) };
        let expected: Vec<f64> = (1..4)
            .map(|at| {
                let row: Vec<f64> = logits[(at - 1) * VOCAB..at * VOCAB]
                    .iter()
                    .map(|&l| f64::from(l) / 0.7)
                    .collect();
                let sum: f64 =
                    row.iter().enumerate().filter(|(id, _)| *id != 30).map(|(_, l)| l.exp()).sum();
                row[ids[at] as usize] - sum.ln()
            })
            .collect();
        let sequence = Sequence { prompt: &ids[..1], response: &ids[1..] };
        let scores = log_probs_of(&model, None, &[sequence], &distribution, 1).unwrap();
        close(&scores[0].log_probs, &expected, 1e-4, "log-probabilities");
    }

    #[test]
    fn a_first_token_counts_only_behind_a_begin_token() {
        let texts = [vec![3, 4, 5], vec![6], vec![]];
        let lengths = |bos| {
            token_nlls(&model(1), &texts, bos, 2).unwrap().iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(lengths(Some(0)), [3, 1, 0]);
        assert_eq!(lengths(None), [2, 0, 0]);
        let nlls = token_nlls(&model(1), &texts, None, 2).unwrap();
        let scores = log_probs_of(
            &model(1),
            None,
            &[Sequence { prompt: &[3], response: &[4, 5] }],
            &PLAIN,
            1,
        )
        .unwrap();
        close(
            &nlls[0],
            &scores[0].log_probs.iter().map(|l| -l).collect::<Vec<_>>(),
            1e-6,
            "negated",
        );
    }

    #[test]
    fn what_cannot_be_scored_is_refused_by_row() {
        let long = [1; 25];
        let error =
            refused(Sequence { prompt: &long[..5], response: &long[5..] }, &PLAIN).to_string();
        assert_eq!(
            error,
            "row 1: 5 prompt tokens and 20 response tokens do not fit the context of 24 tokens"
        );
        let error = refused(Sequence { prompt: &[], response: &[1] }, &PLAIN);
        assert!(matches!(error, RolloutError::EmptyPrompt { row: 1 }));
        let error = refused(Sequence { prompt: &[1], response: &[2, 401] }, &PLAIN).to_string();
        assert_eq!(error, "token id 401 in row 1 is outside the vocabulary of 401 tokens");
        let masked = TokenDistribution { suppress: Some(9), ..PLAIN };
        let error = refused(Sequence { prompt: &[9], response: &[2, 9] }, &masked);
        assert!(matches!(error, RolloutError::Suppressed { row: 1, position: 1, id: 9 }));
        let error = refused(
            Sequence { prompt: &[1], response: &[2] },
            &TokenDistribution { temperature: 0.0, ..PLAIN },
        );
        assert!(error.to_string().contains("temperature is 0"));
    }
}

//! A sequence classifier as a reward: tokens, batches by length, one label's logit.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use tailguard_checkpoint::ModelDir;
use tailguard_kernels::side_by_side;

use crate::architecture::Architecture;
use crate::error::RewardError;
use crate::label::{ChosenLabel, Label, choose};
use crate::load::architecture;
use crate::model::SequenceClassifier;
use crate::text::{ScoredText, TextEncoder, Tokens, TruncationSide};
use crate::{RewardModel, Scored};

/// How a classifier's logits become scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreSettings {
    /// The label whose logit is the score.
    pub label: Label,
    /// Whether the score is minus the logit, for labels of something bad.
    pub negate: bool,
    /// Longer texts are cut to this many tokens, special tokens included.
    pub max_length: usize,
    /// Where they are cut.
    pub truncation_side: TruncationSide,
    /// Tokens per batch, padding included; a single longer text is a batch of its own.
    pub batch_tokens: usize,
}

impl Default for ScoreSettings {
    /// The label that the model's own names speak for; 512 tokens, cut on the left; 4,096 tokens a
    /// batch.
    fn default() -> Self {
        Self {
            label: Label::Unnamed,
            negate: false,
            max_length: 512,
            truncation_side: TruncationSide::Left,
            batch_tokens: 4096,
        }
    }
}

/// A sequence classifier with its tokenizer.
pub struct Classifier {
    model: SequenceClassifier,
    text: TextEncoder,
    label: ChosenLabel,
    settings: ScoreSettings,
    device: Device,
}

impl Classifier {
    /// Reads a Hugging Face directory: `config.json`, whose `model_type` picks the architecture,
    /// `model.safetensors` and `tokenizer.json`.
    ///
    /// # Errors
    /// An unknown architecture, a file or tensor that is missing or damaged, or settings that do
    /// not suit the model.
    pub fn load(
        dir: &ModelDir,
        settings: ScoreSettings,
        device: &Device,
    ) -> Result<Self, RewardError> {
        let Architecture { sizes, labels, .. } = architecture(dir)?;
        let positions = sizes.longest_text();
        let label = choose(dir.path(), &labels, &settings.label)?;
        let setting = |key, found, expected| Err(RewardError::Setting { key, found, expected });
        // Two tokens are the special ones around the text.
        if !(3..=positions).contains(&settings.max_length) {
            let expected = format!("at least 3 and at most the model's {positions} positions");
            return setting("max_length", settings.max_length, expected);
        }
        if settings.batch_tokens == 0 {
            return setting("batch_tokens", 0, "at least 1".to_owned());
        }
        let text = TextEncoder::load(
            dir,
            settings.max_length,
            settings.truncation_side,
            sizes.vocabulary,
        )?;
        // last, as it takes longest
        let model = SequenceClassifier::load(dir, device)?;
        Ok(Self { model, text, label, settings, device: device.clone() })
    }

    /// The label whose logit is the score.
    pub fn label(&self) -> &ChosenLabel {
        &self.label
    }

    /// The settings it was loaded with.
    pub fn settings(&self) -> &ScoreSettings {
        &self.settings
    }

    /// The token ids of each text, cut to `max_length`, special tokens included.
    ///
    /// # Errors
    /// Texts that the tokenizer refuses.
    pub fn encode(&self, texts: &[String]) -> Result<Vec<Vec<u32>>, RewardError> {
        Ok(self.tokens(texts)?.into_iter().map(|tokens| tokens.ids).collect())
    }

    fn tokens(&self, texts: &[String]) -> Result<Vec<Tokens>, RewardError> {
        self.text.encode(texts.iter().map(String::as_str).collect())
    }

    /// The raw logits of every label, one row per text, in the order of the texts.
    ///
    /// # Errors
    /// Texts that the tokenizer refuses, or logits that are not finite.
    pub fn logits(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, RewardError> {
        self.logits_of(&self.tokens(texts)?)
    }

    fn logits_of(&self, texts: &[Tokens]) -> Result<Vec<Vec<f32>>, RewardError> {
        let ids: Vec<&[u32]> = texts.iter().map(|tokens| tokens.ids.as_slice()).collect();
        if let Some(index) = ids.iter().position(|ids| ids.is_empty()) {
            return Err(RewardError::NoTokens { index });
        }
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|&index| ids[index].len());
        let lengths: Vec<usize> = order.iter().map(|&index| ids[index].len()).collect();
        let batches = batches(&lengths, self.settings.batch_tokens);
        let score = |batch: &Range<usize>| {
            let rows: Vec<&[u32]> = order[batch.clone()].iter().map(|&index| ids[index]).collect();
            self.forward(&rows)
        };
        let scored: Vec<Vec<f32>> =
            side_by_side(&self.device, &batches, score).into_iter().collect::<Result<_, _>>()?;
        let mut logits = vec![Vec::new(); ids.len()];
        let rows =
            scored.iter().flat_map(|values| values.chunks(self.model.architecture().labels.len()));
        for (&index, row) in order.iter().zip(rows) {
            if let Some(&found) = row.iter().find(|value| !value.is_finite()) {
                return Err(RewardError::NotFinite { index, found });
            }
            logits[index] = row.to_vec();
        }
        Ok(logits)
    }

    /// The logits of one batch, row after row; `rows` ascend in length.
    fn forward(&self, rows: &[&[u32]]) -> Result<Vec<f32>, RewardError> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let shape = [rows.len(), longest];
        let pad = self.model.architecture().pad;
        let padded = |row: &[u32]| {
            let missing = longest - row.len();
            row.iter()
                .copied()
                .chain(std::iter::repeat_n(pad, missing))
                .map(i64::from)
                .collect::<Vec<_>>()
        };
        let ids: Vec<i64> = rows.iter().flat_map(|row| padded(row)).collect();
        let input_ids = Tensor::from_data(TensorData::new(ids, shape), &self.device);
        let padding = rows.iter().any(|row| row.len() < longest).then(|| {
            let mask: Vec<bool> = rows
                .iter()
                .flat_map(|row| (0..longest).map(|column| column >= row.len()))
                .collect();
            Tensor::from_data(TensorData::new(mask, shape), &self.device)
        });
        let logits = self.model.forward(input_ids, padding).into_data();
        logits
            .try_to_vec::<f32>()
            .map_err(|error| RewardError::Device { reason: format!("{error:?}") })
    }

    fn scores_of(&self, texts: &[Tokens]) -> Result<Vec<f32>, RewardError> {
        let sign = if self.settings.negate { -1.0 } else { 1.0 };
        Ok(self.logits_of(texts)?.iter().map(|row| sign * row[self.label.number]).collect())
    }
}

impl RewardModel for Classifier {
    fn score(&self, texts: &[String]) -> Result<Vec<f32>, RewardError> {
        self.scores_of(&self.tokens(texts)?)
    }

    fn score_responses(&self, texts: &[ScoredText]) -> Result<Scored, RewardError> {
        let tokens = self.text.encode_responses(texts)?;
        Ok(Scored {
            scores: self.scores_of(&tokens)?,
            cut: tokens.iter().map(|tokens| tokens.cut).collect(),
        })
    }
}

/// Cuts ascending lengths into runs of at most `tokens` tokens when padded to the longest of the
/// run; at least one each.
fn batches(lengths: &[usize], tokens: usize) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let mut begin = 0;
    for (end, length) in lengths.iter().enumerate() {
        if end > begin && (end - begin + 1) * length > tokens {
            batches.push(begin..end);
            begin = end;
        }
    }
    if begin < lengths.len() {
        batches.push(begin..lengths.len());
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_longer_than_a_batch_is_a_batch_of_its_own() {
        assert_eq!(batches(&[1, 2, 9, 9], 8), [0..2, 2..3, 3..4]);
        assert!(batches(&[], 8).is_empty());
    }

    proptest! {
        #[test]
        fn batches_cover_all_texts_within_the_limit(
            mut lengths in prop::collection::vec(1_usize..50, 0..60),
            tokens in 1_usize..200,
        ) {
            lengths.sort_unstable();
            let mut covered = 0;
            for batch in batches(&lengths, tokens) {
                prop_assert_eq!(batch.start, covered);
                prop_assert!(batch.len() == 1 || batch.len() * lengths[batch.end - 1] <= tokens);
                covered = batch.end;
            }
            prop_assert_eq!(covered, lengths.len());
        }
    }
}

#![doc = include_str!("../README.md")]
//!
//! ## What is here
//! The rest of tailguard sees rewards only through the trait [`RewardModel`]. The one that comes
//! with it is [`Classifier`]: a sequence classifier from a Hugging Face directory, of which one
//! label's raw logit is the score, without softmax. It may be a DistilBERT, a BERT or a RoBERTa;
//! another architecture is one file like `distilbert.rs` (what `config.json` says, and a table of
//! names, for the shared encoder and head) and one line in `load.rs`.
//!
//! Which label, by number or name, is [`Label`]'s business. Texts are cut into tokens by the
//! model's own `tokenizer.json`, sorted by length and scored in batches with little padding; the
//! order of the scores is that of the texts, and a score does not depend on the other texts of its
//! batch. A text longer than the model reads loses its beginning, or its end where
//! [`TruncationSide`] says so; which texts these were is told by [`RewardModel::score_responses`].
//!
//! [`NgramModel`] is a scorer of another kind: a linear model over hashed n-grams, to judge what a
//! classifier has rewarded. [`load`] reads either.
//!
//! ```
//! use burn::tensor::Device;
//! use tailguard_checkpoint::{ModelDir, WeightType};
//! use tailguard_reward::{Classifier, DistilBertConfig, Label, RewardModel, ScoreSettings};
//! # use tokenizers::{
//! #     Tokenizer, models::wordlevel::WordLevel, pre_tokenizers::whitespace::Whitespace,
//! # };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let home = tempfile::tempdir()?;
//! # let path = home.path();
//! # let words = [("[UNK]", 0), ("good", 1), ("film", 2)].map(|(word, id)| (word.to_owned(), id));
//! # let words = WordLevel::builder()
//! #     .vocab(words.into_iter().collect())
//! #     .unk_token("[UNK]".to_owned())
//! #     .build()?;
//! # let mut tokenizer = Tokenizer::new(words);
//! # tokenizer.with_pre_tokenizer(Some(Whitespace {}));
//! # tokenizer.save(path.join("tokenizer.json"), false)?;
//! let device = Device::flex();
//! // A model that has learned nothing yet, written as a Hugging Face directory (beside a
//! // tokenizer.json) ...
//! let config = DistilBertConfig {
//!     vocab_size: 3,
//!     dim: 8,
//!     hidden_dim: 16,
//!     n_heads: 2,
//!     n_layers: 1,
//!     ..Default::default()
//! };
//! config.init(42, &device)?.save(path, WeightType::F32)?;
//!
//! // ... and read back as a reward: the logit of label 1.
//! let settings = ScoreSettings { label: Label::Number(1), max_length: 128, ..Default::default() };
//! let reward = Classifier::load(&ModelDir::open(path)?, settings, &device)?;
//! let scores = reward.score(&["good film".to_owned(), "film".to_owned()])?;
//! assert_eq!(scores.len(), 2);
//! # Ok(())
//! # }
//! ```

mod architecture;
mod bert;
mod classifier;
mod directory;
mod distilbert;
mod encoder;
mod error;
mod label;
mod load;
mod model;
mod ngram;
mod ngram_training;
mod parameters;
mod roberta;
mod text;

pub use bert::BertConfig;
pub use burn;
pub use classifier::{Classifier, ScoreSettings};
pub use directory::{chosen_label, load, longest_text};
pub use distilbert::DistilBertConfig;
pub use encoder::Activation;
pub use error::RewardError;
pub use label::{ChosenLabel, Label};
pub use model::SequenceClassifier;
pub use ngram::{NgramConfig, NgramModel, NgramUnit};
pub use ngram_training::TrainSettings;
pub use roberta::RobertaConfig;
pub use text::{ScoredText, TruncationSide};

/// Something that scores texts.
pub trait RewardModel: Send + Sync {
    /// One score per text, in the order of the texts: higher is better. No texts give no scores.
    ///
    /// # Errors
    /// If the texts cannot be scored.
    fn score(&self, texts: &[String]) -> Result<Vec<f32>, RewardError>;

    /// Scores prompts and their responses, and says which of them it could not read whole. Who
    /// reads texts of any length need not write this.
    ///
    /// # Errors
    /// If the texts cannot be scored, or nothing of a response would be read.
    fn score_responses(&self, texts: &[ScoredText]) -> Result<Scored, RewardError> {
        let whole: Vec<String> = texts.iter().map(|text| text.as_str().to_owned()).collect();
        Ok(Scored { scores: self.score(&whole)?, cut: vec![false; texts.len()] })
    }
}

/// A reward model that is a function of prompt and response. A text without a prompt, such as a
/// prompt that is scored alone, has an empty one.
///
/// # Example
/// ```
/// use tailguard_reward::{RewardModel, ScoredText, from_fn};
///
/// let short = from_fn(|_prompt: &str, response: &str| Ok(-(response.len() as f32)));
/// let scored = short.score_responses(&[ScoredText::new("Once upon", " a time")])?;
/// assert_eq!(scored.scores, [-7.0]);
/// # Ok::<(), tailguard_reward::RewardError>(())
/// ```
pub fn from_fn<F>(score: F) -> impl RewardModel
where
    F: Fn(&str, &str) -> Result<f32, Box<dyn std::error::Error + Send + Sync>> + Send + Sync,
{
    struct FromFn<F>(F);

    impl<F> RewardModel for FromFn<F>
    where
        F: Fn(&str, &str) -> Result<f32, Box<dyn std::error::Error + Send + Sync>> + Send + Sync,
    {
        fn score(&self, texts: &[String]) -> Result<Vec<f32>, RewardError> {
            texts.iter().map(|text| (self.0)("", text).map_err(RewardError::Other)).collect()
        }

        fn score_responses(&self, texts: &[ScoredText]) -> Result<Scored, RewardError> {
            let scores = texts
                .iter()
                .map(|text| (self.0)(text.prompt(), text.response()).map_err(RewardError::Other));
            Ok(Scored { scores: scores.collect::<Result<_, _>>()?, cut: vec![false; texts.len()] })
        }
    }

    FromFn(score)
}

/// Scores of texts, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scored {
    /// One per text; higher is better.
    pub scores: Vec<f32>,
    /// Whether the text was too long, so that a part of it was not read.
    pub cut: Vec<bool>,
}

/// Scores larger than this, whatever their sign, are refused: sums of their squares are infinite in
/// single precision.
pub const LARGEST_SCORE: f32 = 1e15;

/// Scores of texts by any model, one finite number each, and which texts were cut.
///
/// # Errors
/// Those of the model; [`RewardError::ScoreCount`] if it gives more or fewer scores than it got
/// texts, [`RewardError::Score`] for NaN, infinity and what is larger than [`LARGEST_SCORE`].
pub fn score_texts(model: &dyn RewardModel, texts: &[ScoredText]) -> Result<Scored, RewardError> {
    let scored = model.score_responses(texts)?;
    for found in [scored.scores.len(), scored.cut.len()] {
        if found != texts.len() {
            return Err(RewardError::ScoreCount { expected: texts.len(), found });
        }
    }
    // not the opposite of `>`: NaN is refused, too
    let is_fine = |score: &f32| score.abs() <= LARGEST_SCORE;
    match scored.scores.iter().position(|score| !is_fine(score)) {
        Some(index) => Err(RewardError::Score { index, score: scored.scores[index] }),
        None => Ok(scored),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reward that gives whatever the test wants.
    struct Fake(fn(&[String]) -> Vec<f32>);

    impl RewardModel for Fake {
        fn score(&self, texts: &[String]) -> Result<Vec<f32>, RewardError> {
            Ok((self.0)(texts))
        }
    }

    #[test]
    fn scores_of_wrong_number_or_without_a_value_are_refused() {
        let texts = ["a", "b"].map(ScoredText::whole);
        let refused = |fake: fn(&[String]) -> Vec<f32>| {
            score_texts(&Fake(fake), &texts).unwrap_err().to_string()
        };
        assert_eq!(refused(|_| vec![1.0]), "the reward model gave 1 scores for 2 texts");
        let message = "the reward model scored text 1 with NaN, expected a finite number between \
            -1e15 and 1e15";
        assert!(refused(|_| vec![1.0, f32::NAN]).starts_with(message));
        assert!(refused(|_| vec![f32::NEG_INFINITY, 0.0]).contains("text 0 with -inf"));
        let message = refused(|_| vec![0.0, -3.2e37]);
        assert!(
            message.contains("text 1 with -3.2e37") && message.contains("scale its last layer"),
            "{message}"
        );
        assert_eq!(
            score_texts(&Fake(|_| vec![1e15, -1e15]), &texts).unwrap().scores,
            [1e15, -1e15]
        );
        assert_eq!(score_texts(&Fake(|_| vec![]), &[]).unwrap(), Scored::default());
    }
}

//! A linear model over hashed n-grams: a scorer of another kind than the transformers, to judge
//! what they have rewarded.
//!
//! A text is lower-cased and cut into pieces: either its words (runs of letters, digits and inner
//! apostrophes), or the characters of the text with one space for every run of white space and one
//! at either end. Each run of `min_n..=max_n` pieces, words joined by a space, is hashed: 64-bit
//! FNV-1a over its UTF-8, `h`, gives the bucket `(h ^ h >> k) mod 2^k` of `2^k`. A bucket counts
//! once, however often it is hit, and the vector has length 1: with `n` buckets hit the logit is
//! the bias plus the sum of their weights over the root of `n`.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use fnv::FnvHasher;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tailguard_checkpoint::{ModelDir, WEIGHTS_FILE, WeightType, WeightsWriter, write_config};

use crate::RewardModel;
use crate::classifier::ScoreSettings;
use crate::error::RewardError;
use crate::label::choose;
use crate::load::model_type;

/// The `model_type` in `config.json`.
pub(crate) const MODEL_TYPE: &str = "tailguard-ngram";

const MOST_PIECES: usize = 16;
const MOST_BUCKETS: usize = 1 << 30;

/// What a text is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NgramUnit {
    /// Words, without punctuation.
    Word,
    /// Characters, punctuation and single spaces included.
    Character,
}

/// What `config.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NgramConfig {
    /// What a text is cut into.
    pub unit: NgramUnit,
    /// Pieces of the shortest n-grams; at least 1.
    pub min_n: usize,
    /// Pieces of the longest n-grams; at most 16.
    pub max_n: usize,
    /// Number of weights; a power of two.
    pub buckets: usize,
    /// Names of the labels 0 and 1.
    pub id2label: BTreeMap<usize, String>,
}

impl Default for NgramConfig {
    /// Words and pairs of words in 131,072 buckets.
    fn default() -> Self {
        let id2label = BTreeMap::from([(0, "LABEL_0".to_owned()), (1, "LABEL_1".to_owned())]);
        Self { unit: NgramUnit::Word, min_n: 1, max_n: 2, buckets: 1 << 17, id2label }
    }
}

impl NgramConfig {
    pub(crate) fn validate(&self) -> Result<(), RewardError> {
        let config =
            |key, found, expected: String| Err(RewardError::Config { key, found, expected });
        if self.min_n == 0 {
            return config("min_n", 0, "at least 1".to_owned());
        }
        if !(self.min_n..=MOST_PIECES).contains(&self.max_n) {
            return config("max_n", self.max_n, format!("{} to {MOST_PIECES}", self.min_n));
        }
        if !self.buckets.is_power_of_two() || self.buckets > MOST_BUCKETS {
            return config(
                "buckets",
                self.buckets,
                format!("a power of two, at most {MOST_BUCKETS}"),
            );
        }
        if !self.id2label.keys().eq([&0, &1]) {
            return config(
                "number of labels",
                self.id2label.len(),
                "2, with the numbers 0 and 1".to_owned(),
            );
        }
        Ok(())
    }

    /// The features of a text.
    pub(crate) fn features(&self, text: &str) -> Features {
        let text = text.to_lowercase();
        let hit = match self.unit {
            NgramUnit::Word => {
                let text = text.replace('’', "'");
                let is_inside = |letter: char| letter.is_alphanumeric() || letter == '\'';
                let words =
                    text.split(|letter| !is_inside(letter)).map(|word| word.trim_matches('\''));
                self.hit(&words.filter(|word| !word.is_empty()).collect::<Vec<_>>(), b" ")
            }
            NgramUnit::Character => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let text =
                    if words.is_empty() { String::new() } else { format!(" {} ", words.join(" ")) };
                self.hit(&text.split_inclusive(|_| true).collect::<Vec<_>>(), b"")
            }
        };
        Features::new(hit)
    }

    /// The bucket of every n-gram of these pieces.
    fn hit(&self, pieces: &[&str], separator: &[u8]) -> Vec<usize> {
        let mut hit = Vec::with_capacity(pieces.len() * (self.max_n - self.min_n + 1));
        for begin in 0..pieces.len() {
            let mut hasher = FnvHasher::default();
            for (n, piece) in (1..=self.max_n).zip(&pieces[begin..]) {
                if n > 1 {
                    hasher.write(separator);
                }
                hasher.write(piece.as_bytes());
                if n >= self.min_n {
                    hit.push(self.bucket(hasher.finish()));
                }
            }
        }
        hit
    }

    /// FNV's authors fold the hash so: its low bits alone depend on the low bits of the text alone.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "all but the low bits are masked away, and they number at most 30"
    )]
    fn bucket(&self, hash: u64) -> usize {
        let folded = hash ^ (hash >> self.buckets.trailing_zeros());
        folded as usize & (self.buckets - 1)
    }
}

/// A vector of length 1 with the same value in some of its places, and 0 in all others.
#[derive(Debug, PartialEq)]
pub(crate) struct Features {
    /// The places, in rising order.
    pub(crate) buckets: Vec<usize>,
    /// The value; 0 if there are no places.
    pub(crate) value: f64,
}

impl Features {
    fn new(mut buckets: Vec<usize>) -> Self {
        buckets.sort_unstable();
        buckets.dedup();
        let value = if buckets.is_empty() { 0.0 } else { (buckets.len() as f64).sqrt().recip() };
        Self { buckets, value }
    }

    /// The scalar product with weights, in double precision and always in the same order.
    pub(crate) fn dot(&self, weight: impl Fn(usize) -> f64) -> f64 {
        self.value * self.buckets.iter().map(|&bucket| weight(bucket)).sum::<f64>()
    }
}

/// A linear model over hashed n-grams with one logit: that of label 1, and minus that of label 0.
#[derive(Debug, Clone, PartialEq)]
pub struct NgramModel {
    pub(crate) config: NgramConfig,
    /// One per bucket.
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: f32,
    /// 1, or -1 where the score is minus the logit.
    pub(crate) sign: f64,
}

impl NgramModel {
    /// Reads `config.json` and `model.safetensors`. The score is the logit of `settings.label`, and
    /// minus that with `settings.negate`; texts are read whole, as the other settings are about
    /// tokens.
    ///
    /// # Errors
    /// Another `model_type`, settings that fit no model, a label that is neither 0 nor 1; missing,
    /// misshapen, unknown or non-finite tensors, by name.
    pub fn load(dir: &ModelDir, settings: &ScoreSettings) -> Result<Self, RewardError> {
        let found = model_type(dir)?;
        if found != MODEL_TYPE {
            return Err(RewardError::Architecture {
                path: dir.path().to_owned(),
                found,
                expected: vec![MODEL_TYPE],
            });
        }
        let config: NgramConfig = dir.config()?;
        config.validate()?;
        let label = choose(dir.path(), &config.id2label, &settings.label)?;
        let mut weights = dir.weights()?;
        let mut read = |name, len| {
            let values =
                weights.tensor(name, [len], &Device::flex())?.into_data().try_to_vec::<f32>();
            values.map_err(|error| RewardError::Device { reason: format!("{error:?}") })
        };
        let (weight, bias) = (read("weight", config.buckets)?, read("bias", 1)?[0]);
        weights.finish(|_| false)?;
        let sign = if (label.number == 1) == settings.negate { -1.0 } else { 1.0 };
        Ok(Self { config, weight, bias, sign })
    }

    /// Writes `config.json` and `model.safetensors` into a directory that exists.
    ///
    /// # Errors
    /// The file that cannot be written, or the weight that is not finite.
    pub fn save(&self, dir: &Path, weight_type: WeightType) -> Result<(), RewardError> {
        let config = &self.config;
        write_config(
            dir,
            &serde_json::json!({
                "buckets": config.buckets,
                "id2label": config.id2label,
                "max_n": config.max_n,
                "min_n": config.min_n,
                "model_type": MODEL_TYPE,
                "torch_dtype": weight_type.name(),
                "unit": config.unit,
            }),
        )?;
        let tensor = |values: Vec<f32>| {
            let len = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [len]), &Device::flex())
        };
        let mut writer = WeightsWriter::new(weight_type);
        writer.insert("weight", tensor(self.weight.clone()));
        writer.insert("bias", tensor(vec![self.bias]));
        Ok(writer.write(&dir.join(WEIGHTS_FILE))?)
    }

    /// The settings of this model.
    pub fn config(&self) -> &NgramConfig {
        &self.config
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "scores are f32; one that does not fit is found to be infinite"
    )]
    fn score_one(&self, text: &str) -> f32 {
        let logit = f64::from(self.bias)
            + self.config.features(text).dot(|bucket| f64::from(self.weight[bucket]));
        (self.sign * logit) as f32
    }
}

impl RewardModel for NgramModel {
    fn score(&self, texts: &[String]) -> Result<Vec<f32>, RewardError> {
        let scores: Vec<f32> = texts.par_iter().map(|text| self.score_one(text)).collect();
        match scores.iter().position(|score| !score.is_finite()) {
            Some(index) => Err(RewardError::NotFinite { index, found: scores[index] }),
            None => Ok(scores),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(unit: NgramUnit, min_n: usize, max_n: usize) -> NgramConfig {
        NgramConfig { unit, min_n, max_n, ..Default::default() }
    }

    /// The model whose weights are all different.
    fn model(config: NgramConfig) -> NgramModel {
        let weight = (0..config.buckets).map(|bucket| (bucket as f32 * 0.37).sin()).collect();
        NgramModel { config, weight, bias: 0.25, sign: 1.0 }
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn the_hash_is_fnv_1a_folded() {
        let config = config(NgramUnit::Word, 1, 1);
        let hash = 0xaf63_dc4c_8601_ec8c_u64; // of "a", from the reference tables
        let bucket = usize::try_from((hash ^ (hash >> 17)) & 0x1_ffff).unwrap();
        assert_eq!(config.features("A").buckets, [bucket]);
        assert_eq!(NgramConfig { buckets: 1, ..config }.features("A b").buckets, [0]);
    }

    #[test]
    fn words_keep_inner_apostrophes_and_no_punctuation() {
        let features = |text| config(NgramUnit::Word, 1, 2).features(text);
        assert_eq!(features("It's a 'good' film!"), features("it’s A good... film"));
        assert_eq!(features("it's a good film").buckets.len(), 4 + 3);
        assert_ne!(features("its a good film"), features("it's a good film"));
        assert_ne!(features("good film"), features("film good"));
    }

    #[test]
    fn characters_are_counted_with_punctuation_and_single_spaces() {
        let features = |text| config(NgramUnit::Character, 2, 3).features(text);
        assert_eq!(features("\tYou  are\n"), features("you are"));
        assert_ne!(features("you are"), features("you are!"));
        // " é ": two pairs and one triple, of characters and not of bytes
        assert_eq!(features("é").buckets.len(), 3);
    }

    #[test]
    fn a_text_without_pieces_gets_the_bias() {
        for unit in [NgramUnit::Word, NgramUnit::Character] {
            assert_eq!(
                model(config(unit, 1, 3)).score(&owned(&["", " \n"])).unwrap(),
                [0.25, 0.25]
            );
            assert!(model(config(unit, 1, 3)).score(&[]).unwrap().is_empty());
        }
        assert_eq!(
            model(config(NgramUnit::Word, 2, 2)).score(&owned(&["film", "?!"])).unwrap(),
            [0.25, 0.25]
        );
    }

    #[test]
    fn settings_that_fit_no_model_are_refused() {
        let refused = |config: NgramConfig| config.validate().unwrap_err().to_string();
        let good = NgramConfig::default();
        assert!(
            refused(NgramConfig { min_n: 0, ..good.clone() })
                .contains("min_n 0, expected at least 1")
        );
        assert!(
            refused(NgramConfig { min_n: 3, ..good.clone() }).contains("max_n 2, expected 3 to 16")
        );
        assert!(
            refused(NgramConfig { max_n: 1 << 40, ..good.clone() }).contains("expected 1 to 16")
        );
        for buckets in [0, 1000, 1 << 31] {
            assert!(refused(NgramConfig { buckets, ..good.clone() }).contains("a power of two"));
        }
        let id2label = [(1, "GOOD".to_owned()), (2, "BAD".to_owned())].into();
        assert!(
            refused(NgramConfig { id2label, ..good })
                .contains("number of labels 2, expected 2, with the numbers 0 and 1")
        );
    }

    #[test]
    fn a_score_out_of_range_is_an_error_with_its_text() {
        let mut model = model(config(NgramUnit::Word, 1, 1));
        model.weight.fill(f32::MAX);
        let error = model.score(&owned(&["", "two words", "many more words"])).unwrap_err();
        assert!(matches!(error, RewardError::NotFinite { index: 1, .. }), "{error}");
    }

    fn any_unit() -> impl Strategy<Value = NgramUnit> {
        prop_oneof![Just(NgramUnit::Word), Just(NgramUnit::Character)]
    }

    proptest! {
        #[test]
        fn features_have_norm_one_and_no_bucket_twice(
            unit in any_unit(),
            min_n in 1_usize..4,
            more in 0_usize..3,
            text in ".{0,80}",
        ) {
            let config = config(unit, min_n, min_n + more);
            let features = config.features(&text);
            prop_assert!(features.buckets.is_sorted_by(|one, next| one < next));
            prop_assert!(features.buckets.iter().all(|&bucket| bucket < config.buckets));
            let norm = (features.buckets.len() as f64).sqrt() * features.value;
            prop_assert!(features.buckets.is_empty() || (norm - 1.0).abs() < 1e-12);
        }

        #[test]
        fn repeating_a_text_changes_no_word(text in "[a-z ]{1,40}") {
            let config = config(NgramUnit::Word, 1, 1);
            prop_assert_eq!(config.features(&format!("{text} {text}")), config.features(&text));
        }

        #[test]
        fn a_score_depends_on_its_text_alone(
            unit in any_unit(),
            texts in prop::collection::vec(".{0,40}", 1..12),
            threads in 1_usize..5,
        ) {
            let model = model(config(unit, 1, 3));
            let alone: Vec<f32> = texts.iter().map(|text| model.score_one(text)).collect();
            let mut reversed = texts.clone();
            reversed.reverse();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            prop_assert_eq!(&pool.install(|| model.score(&texts)).unwrap(), &alone);
            let mut scores = pool.install(|| model.score(&reversed)).unwrap();
            scores.reverse();
            prop_assert_eq!(scores, alone);
        }
    }
}

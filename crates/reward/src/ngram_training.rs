//! Training of the linear model over n-grams: logistic regression by `AdaGrad`, the same on every
//! machine.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::error::RewardError;
use crate::ngram::{Features, NgramConfig, NgramModel};

/// How an n-gram model learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainSettings {
    /// Passes over the texts; none gives a model that knows nothing.
    pub epochs: usize,
    /// Length of a weight's first step; above 0, at most 10.
    pub learning_rate: f64,
    /// Share of a weight that is added to its gradient whenever a text touches it; 0 to 1.
    pub l2: f64,
    /// Decides the order of the texts.
    pub seed: u64,
}

impl NgramConfig {
    /// Learns to tell texts of label 1 from texts of label 0: `AdaGrad` takes down the log loss of
    /// one text after the other (Duchi et al. 2011), in a new order in every pass.
    ///
    /// # Errors
    /// Settings out of range; labels that are not 0 or 1, or not one per text; texts of one class
    /// alone.
    pub fn train(
        &self,
        texts: &[String],
        labels: &[u8],
        settings: TrainSettings,
    ) -> Result<NgramModel, RewardError> {
        self.validate()?;
        settings.validate()?;
        check(texts, labels)?;
        let features: Vec<Features> = texts.par_iter().map(|text| self.features(text)).collect();
        let mut weights = vec![Weight::default(); self.buckets];
        let mut bias = Weight::default();
        let mut order: Vec<usize> = (0..texts.len()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        for _ in 0..settings.epochs {
            order.shuffle(&mut rng);
            for &index in &order {
                let text = &features[index];
                let logit = bias.value + text.dot(|bucket| weights[bucket].value);
                let error = 1.0 / (1.0 + (-logit).exp()) - f64::from(labels[index]);
                for &bucket in &text.buckets {
                    let weight = &mut weights[bucket];
                    weight.step(
                        error * text.value + settings.l2 * weight.value,
                        settings.learning_rate,
                    );
                }
                bias.step(error, settings.learning_rate);
            }
        }
        let weight = weights.iter().map(Weight::single).collect();
        Ok(NgramModel { config: self.clone(), weight, bias: bias.single(), sign: 1.0 })
    }
}

impl TrainSettings {
    fn validate(&self) -> Result<(), RewardError> {
        let number = |key, found, expected| Err(RewardError::Training { key, found, expected });
        // With both bounded, no weight can grow beyond single precision.
        if !(self.learning_rate > 0.0 && self.learning_rate <= 10.0) {
            return number("learning_rate", self.learning_rate, "above 0, at most 10");
        }
        if !(0.0..=1.0).contains(&self.l2) {
            return number("l2", self.l2, "0 to 1");
        }
        Ok(())
    }
}

fn check(texts: &[String], labels: &[u8]) -> Result<(), RewardError> {
    if texts.len() != labels.len() {
        return Err(RewardError::Unpaired { texts: texts.len(), labels: labels.len() });
    }
    if let Some(index) = labels.iter().position(|&label| label > 1) {
        return Err(RewardError::Label { index, found: labels[index] });
    }
    match [0, 1].into_iter().find(|label| !labels.contains(label)) {
        Some(missing) => Err(RewardError::OneClass { texts: texts.len(), missing }),
        None => Ok(()),
    }
}

/// A weight on its way, with the sum of its squared gradients.
#[derive(Clone, Default)]
struct Weight {
    value: f64,
    squares: f64,
}

impl Weight {
    fn step(&mut self, gradient: f64, rate: f64) {
        self.squares += gradient * gradient;
        self.value -= rate * gradient / (self.squares.sqrt() + 1e-8);
    }

    #[expect(clippy::cast_possible_truncation, reason = "weights are kept in single precision")]
    fn single(&self) -> f32 {
        self.value as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NgramUnit, RewardModel};

    const SETTINGS: TrainSettings =
        TrainSettings { epochs: 5, learning_rate: 0.2, l2: 1e-4, seed: 1 };

    /// Forty short texts and their labels: what is praised and what is not, with words that say
    /// nothing between.
    fn toy() -> (Vec<String>, Vec<u8>) {
        let (good, bad) =
            (["good", "fine", "moving", "lovely"], ["bad", "dull", "awful", "boring"]);
        let things = ["film", "cast", "story", "plot", "music"];
        let text = |word: &str, thing: &str| format!("A {word} {thing}, I thought.");
        let both = things.iter().flat_map(|thing| {
            (0..4).flat_map(|at| [(text(good[at], thing), 1), (text(bad[at], thing), 0)])
        });
        both.unzip()
    }

    fn config(unit: NgramUnit) -> NgramConfig {
        NgramConfig { unit, max_n: 3, buckets: 1 << 12, ..Default::default() }
    }

    #[test]
    fn training_separates_what_differs() {
        let (texts, labels) = toy();
        for unit in [NgramUnit::Word, NgramUnit::Character] {
            let model = config(unit).train(&texts, &labels, SETTINGS).unwrap();
            let scores = model.score(&texts).unwrap();
            assert!(
                scores.iter().zip(&labels).all(|(&score, &label)| (score > 0.0) == (label == 1)),
                "{unit:?}: {scores:?}"
            );
            let unseen = model
                .score(&["lovely and good".to_owned(), "dull, even awful".to_owned()])
                .unwrap();
            assert!(unseen[0] > 0.0 && unseen[1] < 0.0, "{unit:?}: {unseen:?}");
        }
    }

    #[test]
    fn training_depends_on_the_seed_and_not_on_threads() {
        let (texts, labels) = toy();
        let trained = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                config(NgramUnit::Word)
                    .train(&texts, &labels, TrainSettings { seed, ..SETTINGS })
                    .unwrap()
            })
        };
        assert_eq!(trained(1, 1), trained(4, 1));
        assert_ne!(trained(1, 1), trained(1, 2));
    }

    #[test]
    fn more_l2_gives_smaller_weights() {
        let (texts, labels) = toy();
        let size = |l2| {
            let model = config(NgramUnit::Word)
                .train(&texts, &labels, TrainSettings { l2, epochs: 50, ..SETTINGS })
                .unwrap();
            model.weight.iter().map(|weight| weight * weight).sum::<f32>()
        };
        assert!(size(0.1) < size(0.01) && size(0.01) < size(0.0));
    }

    #[test]
    fn without_a_pass_the_model_knows_nothing() {
        let (texts, labels) = toy();
        let model = config(NgramUnit::Word)
            .train(&texts, &labels, TrainSettings { epochs: 0, ..SETTINGS })
            .unwrap();
        assert!(model.score(&texts).unwrap().iter().all(|&score| score == 0.0));
    }

    #[test]
    fn what_cannot_be_learned_from_is_refused() {
        let (texts, labels) = toy();
        let refused = |texts: &[String], labels: &[u8], settings| {
            config(NgramUnit::Word).train(texts, labels, settings).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&texts, &labels[1..], SETTINGS),
            "40 texts but 39 labels, expected one label per text"
        );
        assert_eq!(refused(&texts[..2], &[1, 2], SETTINGS), "text 1 has label 2, expected 0 or 1");
        assert_eq!(
            refused(&texts[..1], &[0], SETTINGS),
            "none of the 1 texts has label 1, expected texts of both labels"
        );
        assert_eq!(
            refused(&[], &[], SETTINGS),
            "none of the 0 texts has label 0, expected texts of both labels"
        );
        for learning_rate in [0.0, -1.0, f64::NAN, 11.0] {
            let settings = TrainSettings { learning_rate, ..SETTINGS };
            assert!(refused(&texts, &labels, settings).contains("expected above 0, at most 10"));
        }
        for l2 in [-1.0, f64::NAN, 2.0] {
            assert!(
                refused(&texts, &labels, TrainSettings { l2, ..SETTINGS })
                    .contains("expected 0 to 1")
            );
        }
    }
}

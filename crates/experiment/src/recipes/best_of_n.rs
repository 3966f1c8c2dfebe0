//! `recipe = "best_of_n"`: of several responses to a prompt, the one with the highest reward. As a
//! guard, another one is drawn only while the best is not good enough.

use tailguard_rollout::{Generation, Prompt, responses, scored_text};

use crate::cost::Cost;
use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::made::{Answer, Answers, Asked, Made};
use crate::recipe::{Recipe, Work};
use crate::settings::{BestOfNSection, Settings};

/// Chooses by `[best_of_n]` from what the arm that it is made from answers, whatever that is.
pub(crate) struct BestOfN;

impl Recipe for BestOfN {
    fn sections(&self) -> &[&str] {
        &["best_of_n"]
    }

    fn makes_model(&self) -> bool {
        false
    }

    fn needs_model(&self) -> bool {
        false
    }

    fn samples(&self) -> bool {
        false
    }

    /// ln n - (n - 1) / n for the best of n (Beirami et al., 2024, arXiv 2401.01879, Theorem 1).
    /// The guard's response is one of n draws, so no response is more than n times as likely as
    /// before: its KL is at most ln n.
    fn kl_bound(&self, settings: &Settings) -> Option<f64> {
        let n = settings.best_of_n.n as f64;
        Some(if settings.best_of_n.guard { n.ln() } else { n.ln() - (n - 1.0) / n })
    }

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        let from = work.from.cloned().ok_or_else(|| {
            ExperimentError::refused(format!("arm {:?} is made from nothing", work.arm.key))
        })?;
        Ok(Made::answers(Best { from, settings: work.settings.best_of_n.clone() }))
    }
}

struct Best {
    from: Made,
    settings: BestOfNSection,
}

impl Answers for Best {
    fn levels(&self) -> u32 {
        self.from.levels() + 1
    }

    fn answer(&self, inputs: &Inputs, asked: &Asked<'_>) -> Result<Vec<Answer>, ExperimentError> {
        let BestOfNSection { n, guard, threshold } = self.settings;
        let mut best: Vec<Option<Candidate>> = vec![None; asked.prompts.len()];
        let mut open: Vec<usize> = (0..best.len()).collect();
        // the first draw is what the other arm answers
        for nth in 0..n as u64 {
            if open.is_empty() {
                break;
            }
            let prompts: Vec<(usize, &Prompt)> =
                open.iter().map(|&place| asked.prompts[place]).collect();
            let asked = Asked {
                prompts: &prompts,
                draws: asked.draws.nth(self.from.levels(), nth),
                ..*asked
            };
            for (&place, drawn) in open.iter().zip(self.draw(inputs, &asked)?) {
                best[place] = Some(drawn.or_better(best[place].take()));
            }
            let is_good = |best: &Candidate| guard && f64::from(best.score) >= threshold;
            open.retain(|&place| !best[place].as_ref().is_some_and(is_good));
        }
        Ok(best.into_iter().flatten().map(|best| best.answer).collect())
    }
}

impl Best {
    /// A scored response to each prompt.
    fn draw(&self, inputs: &Inputs, asked: &Asked<'_>) -> Result<Vec<Candidate>, ExperimentError> {
        let answers = self.from.answer(inputs, asked)?;
        let drawn: Vec<Generation> =
            answers.iter().map(|answer| answer.generation.clone()).collect();
        let texts = responses(&inputs.tokenizer, &drawn)?;
        let texts: Vec<_> = asked
            .prompts
            .iter()
            .zip(&texts)
            .map(|((_, prompt), text)| scored_text(prompt, text))
            .collect();
        // texts that are too long to be read whole are told of where the kept ones are measured
        let scores = inputs.reward.score(&texts, "candidates", &mut |_| {})?;
        let asking = Cost { sampled_tokens: 0, reward_calls: 1 };
        let candidate = |(answer, score): (Answer, f32)| Candidate {
            score,
            answer: Answer { cost: answer.cost + asking, ..answer },
        };
        Ok(answers.into_iter().zip(scores).map(candidate).collect())
    }
}

/// A response and its score.
#[derive(Clone)]
struct Candidate {
    score: f32,
    answer: Answer,
}

impl Candidate {
    /// This one or an earlier one, whichever scores higher; of equals, the earlier. Both have cost
    /// something.
    fn or_better(self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        let cost = earlier.answer.cost + self.answer.cost;
        let Self { score, answer } = if self.score > earlier.score { self } else { earlier };
        Self { score, answer: Answer { cost, ..answer } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_the_best_of_n_is_the_published_one() {
        let bound = |n, guard| {
            let mut settings = Settings::from_toml("preset = \"imdb-smoke\"").unwrap();
            settings.best_of_n = BestOfNSection { n, guard, threshold: 0.0 };
            BestOfN.kl_bound(&settings).unwrap()
        };
        // ln 4 - 3 / 4, ln 128 - 127 / 128; one response is what there was before
        for (n, expected) in [(1, 0.0), (4, 0.636_294_361), (128, 3.859_842_764)] {
            assert!((bound(n, false) - expected).abs() < 1e-9, "{n}: {}", bound(n, false));
        }
        assert!((bound(4, true) - 1.386_294_361).abs() < 1e-9 && bound(1, true).abs() < 1e-12);
    }

    #[test]
    fn the_better_response_stays_and_both_have_cost_something() {
        let candidate = |score, sampled_tokens| Candidate {
            score,
            answer: Answer {
                generation: Generation::default(),
                cost: Cost { sampled_tokens, reward_calls: 1 },
            },
        };
        let kept = |new: f32, old: f32| {
            let kept = candidate(new, 3).or_better(Some(candidate(old, 4)));
            (kept.score, kept.answer.cost)
        };
        let both = Cost { sampled_tokens: 7, reward_calls: 2 };
        assert_eq!((kept(2.0, 1.0), kept(1.0, 2.0)), ((2.0, both), (2.0, both)));
        assert_eq!(candidate(1.0, 3).or_better(None).answer.cost.sampled_tokens, 3);
    }
}

//! Line 2 of Algorithm 1: sample, score, and note what the update needs.

use std::iter::repeat_n;
use std::time::Instant;

use rayon::prelude::*;
use tailguard_lm::{CausalLm, ValueHead};
use tailguard_reward::{RewardModel, Scored, ScoredText};
use tokenizers::Tokenizer;

use crate::config::SamplingConfig;
use crate::draws::DrawSeed;
use crate::engine::{Generation, generate_each};
use crate::error::RolloutError;
use crate::prompt::{Prompt, decode};
use crate::score::{Sequence, log_probs_of};

/// A prompt, the policy's response to it, and all that was measured: the rows have one entry per
/// response token.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// What was given.
    pub prompt: Prompt,
    /// What was sampled; the end token, if one ended the response, is the last.
    pub response_ids: Vec<u32>,
    /// The response as text, without special tokens.
    pub response: String,
    /// The reward model's score of prompt and response together.
    pub score: f32,
    /// Whether the reward model has read only a part of them, as both together are longer than it
    /// reads.
    pub cut: bool,
    /// Log-probabilities under the policy that sampled, in nats.
    pub log_probs: Vec<f32>,
    /// Log-probabilities under the reference, in nats.
    pub ref_log_probs: Vec<f32>,
    /// Values of the states before each token; empty if there was no value head.
    pub values: Vec<f32>,
    /// Entropies of the policy in nats.
    pub entropies: Vec<f32>,
}

impl Episode {
    /// Prompt and response ids, for scoring them again.
    #[must_use]
    pub fn sequence(&self) -> Sequence<'_> {
        Sequence { prompt: &self.prompt.ids, response: &self.response_ids }
    }
}

/// Seconds that the parts of a rollout took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RolloutTimes {
    /// Sampling the responses.
    pub generate_s: f64,
    /// Decoding them and scoring the texts.
    pub score_s: f64,
    /// Their log-probabilities under the reference.
    pub reference_s: f64,
}

/// All that turns prompts into scored episodes of a policy.
pub struct Rollout<'a, M> {
    /// The policy's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The frozen reference model of the KL penalty.
    pub reference: &'a M,
    /// What is to be learnt.
    pub reward: &'a dyn RewardModel,
    /// How responses are sampled.
    pub sampling: SamplingConfig,
    /// Most rows in one forward pass.
    pub batch_size: usize,
}

impl<M: CausalLm> Rollout<'_, M> {
    /// So many episodes per prompt, those of a prompt together, in the order of the prompts; and
    /// how long it took. `policy` and `value_head` are inference copies (`valid()`).
    ///
    /// # Errors
    /// Those of [`generate_each`], [`score_texts`] and [`log_probs_of`].
    #[tracing::instrument(name = "rollout", skip_all, fields(prompts = prompts.len()))]
    pub fn collect(
        &self,
        policy: &M,
        value_head: Option<&ValueHead>,
        prompts: &[Prompt],
        responses: usize,
        draws: DrawSeed,
    ) -> Result<(Vec<Episode>, RolloutTimes), RolloutError> {
        let begun = Instant::now();
        let (sampling, batch_size) = (&self.sampling, self.batch_size);
        let generations =
            generate_each(policy, value_head, prompts, responses, sampling, draws, batch_size)?;
        let generated = Instant::now();
        let prompts: Vec<&Prompt> =
            prompts.iter().flat_map(|prompt| repeat_n(prompt, responses)).collect();
        let answers = self::responses(self.tokenizer, &generations)?;
        let texts: Vec<ScoredText> = prompts
            .iter()
            .zip(&answers)
            .map(|(prompt, response)| scored_text(prompt, response))
            .collect();
        let Scored { scores, cut } = score_texts(self.reward, &texts)?;
        let scored = Instant::now();
        let sequences: Vec<Sequence<'_>> = prompts
            .iter()
            .zip(&generations)
            .map(|(prompt, generation)| Sequence {
                prompt: &prompt.ids,
                response: &generation.response_ids,
            })
            .collect();
        let reference =
            log_probs_of(self.reference, None, &sequences, &sampling.distribution(), batch_size)?;
        let times = RolloutTimes {
            generate_s: (generated - begun).as_secs_f64(),
            score_s: (scored - generated).as_secs_f64(),
            reference_s: scored.elapsed().as_secs_f64(),
        };
        let noted = generations.into_iter().zip(reference);
        let judged = answers.into_iter().zip(scores.into_iter().zip(cut));
        let rows = prompts.into_iter().zip(noted).zip(judged);
        let episodes =
            rows.map(|((prompt, (generation, reference)), (response, (score, cut)))| Episode {
                prompt: prompt.clone(),
                response_ids: generation.response_ids,
                response,
                score,
                cut,
                log_probs: generation.log_probs,
                ref_log_probs: reference.log_probs,
                values: generation.values,
                entropies: generation.entropies,
            });
        Ok((episodes.collect(), times))
    }
}

/// Responses as texts, without special tokens.
///
/// # Errors
/// [`RolloutError::Tokenizer`] if the tokenizer cannot decode a response.
pub fn responses(
    tokenizer: &Tokenizer,
    generations: &[Generation],
) -> Result<Vec<String>, RolloutError> {
    let text = |(row, generation): (usize, &Generation)| {
        decode(tokenizer, row, &generation.response_ids, true)
    };
    generations.par_iter().enumerate().map(text).collect()
}

/// What the reward model reads: the prompt's text and the response's, decoded apart.
#[must_use]
pub fn scored_text(prompt: &Prompt, response: &str) -> ScoredText {
    ScoredText::new(&prompt.text, response)
}

/// [`tailguard_reward::score_texts`], whose scores are those of episodes.
///
/// # Errors
/// [`RolloutError::Reward`] if the model fails or would read nothing of a response,
/// [`RolloutError::ScoreCount`] if it gives more or fewer scores than it got texts,
/// [`RolloutError::Score`] for NaN, infinity and what is larger than
/// [`LARGEST_SCORE`](crate::LARGEST_SCORE).
#[tracing::instrument(level = "debug", skip_all, fields(texts = texts.len()))]
pub fn score_texts(reward: &dyn RewardModel, texts: &[ScoredText]) -> Result<Scored, RolloutError> {
    Ok(tailguard_reward::score_texts(reward, texts)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EndOfText;
    use crate::fixtures::{SEED, model, policy, sampling};
    use crate::prompt::prompts;
    use tailguard_reward::RewardError;
    use tailguard_tests::{close, golden};

    /// A reward that is the number of bytes of the text, or whatever the test puts in its place.
    struct Fake(fn(&[String]) -> Vec<f32>);

    impl RewardModel for Fake {
        fn score(&self, texts: &[String]) -> Result<Vec<f32>, RewardError> {
            Ok((self.0)(texts))
        }
    }

    fn lengths(texts: &[String]) -> Vec<f32> {
        texts.iter().map(|text| text.len() as f32).collect()
    }

    fn tokenizer() -> Tokenizer {
        Tokenizer::from_file(golden("tokenizer/tokenizer.json")).unwrap()
    }

    #[test]
    fn an_episode_holds_what_the_update_needs() {
        let (tokenizer, reference, policy) = (tokenizer(), model(1), policy(2));
        let texts = ["the cat", "a movie that was not", "the cat", "and so"].map(str::to_owned);
        let prompts = prompts(&tokenizer, &texts, 3).unwrap();
        let sampling = SamplingConfig { end_of_text: EndOfText::Stop(7), ..sampling(6) };
        let rollout = Rollout {
            tokenizer: &tokenizer,
            reference: &reference,
            reward: &Fake(lengths),
            sampling,
            batch_size: 3,
        };
        let (episodes, times) =
            rollout.collect(&policy.lm, Some(&policy.value_head), &prompts, 1, SEED).unwrap();
        assert_eq!(episodes.len(), 4);
        for (episode, prompt) in episodes.iter().zip(&prompts) {
            assert_eq!(&episode.prompt, prompt);
            assert_eq!(episode.response, tokenizer.decode(&episode.response_ids, true).unwrap());
            close(
                &[episode.score],
                &[(prompt.text.len() + episode.response.len()) as f32],
                0.0,
                "prompt and response are scored",
            );
            let scores = |model| {
                log_probs_of(model, None, &[episode.sequence()], &sampling.distribution(), 1)
                    .unwrap()
            };
            close(&episode.log_probs, &scores(&policy.lm)[0].log_probs, 1e-4, "policy");
            close(&episode.ref_log_probs, &scores(&reference)[0].log_probs, 1e-4, "reference");
            let tokens = episode.response_ids.len();
            assert_eq!([episode.values.len(), episode.entropies.len()], [tokens; 2]);
        }
        assert_ne!(
            episodes[0].response_ids, episodes[2].response_ids,
            "the same prompt has two streams"
        );
        assert!(
            times.generate_s > 0.0 && times.reference_s > 0.0 && times.score_s >= 0.0,
            "{times:?}"
        );
        let (without, _) = rollout.collect(&policy.lm, None, &prompts, 1, SEED).unwrap();
        let valueless = |episode: &Episode| Episode { values: Vec::new(), ..episode.clone() };
        assert_eq!(without, episodes.iter().map(valueless).collect::<Vec<_>>());
        assert_eq!(rollout.collect(&policy.lm, None, &[], 2, SEED).unwrap().0, []);
    }

    /// A reward that reads no more than so many bytes of a text.
    struct ShortSighted(usize);

    impl RewardModel for ShortSighted {
        fn score(&self, texts: &[String]) -> Result<Vec<f32>, RewardError> {
            Ok(lengths(texts))
        }

        fn score_responses(&self, texts: &[ScoredText]) -> Result<Scored, RewardError> {
            let cut = texts.iter().map(|text| text.as_str().len() > self.0).collect();
            Ok(Scored { scores: vec![0.0; texts.len()], cut })
        }
    }

    #[test]
    fn an_episode_tells_whether_all_of_it_was_scored() {
        let (tokenizer, reference) = (tokenizer(), model(1));
        let prompts = prompts(
            &tokenizer,
            &["so".to_owned(), "a movie that was not good at all".to_owned()],
            20,
        )
        .unwrap();
        let collect = |limit| {
            let (reward, sampling) = (ShortSighted(limit), sampling(2));
            let rollout = Rollout {
                tokenizer: &tokenizer,
                reference: &reference,
                reward: &reward,
                sampling,
                batch_size: 2,
            };
            let (episodes, _) = rollout.collect(&model(1), None, &prompts, 1, SEED).unwrap();
            episodes.iter().map(|episode| episode.cut).collect::<Vec<_>>()
        };
        assert_eq!(
            (collect(0), collect(25), collect(1000)),
            (vec![true, true], vec![false, true], vec![false, false])
        );
    }

    #[test]
    fn a_policy_equal_to_the_reference_has_no_divergence() {
        let (tokenizer, reference, policy) = (tokenizer(), model(1), model(1));
        let prompts =
            prompts(&tokenizer, &["the cat".to_owned(), "a movie that".to_owned()], 4).unwrap();
        let rollout = Rollout {
            tokenizer: &tokenizer,
            reference: &reference,
            reward: &Fake(lengths),
            sampling: sampling(8),
            batch_size: 2,
        };
        for episode in rollout.collect(&policy, None, &prompts, 1, SEED).unwrap().0 {
            close(&episode.log_probs, &episode.ref_log_probs, 1e-4, "log-probabilities");
        }
    }

    #[test]
    fn the_end_token_is_not_part_of_the_text() {
        let tokenizer = tokenizer();
        let end = tokenizer.token_to_id("<|endoftext|>").unwrap();
        let ids = tokenizer.encode_fast("so good", false).unwrap().get_ids().to_vec();
        let generation =
            Generation { response_ids: [ids.as_slice(), &[end]].concat(), ..Generation::default() };
        assert_eq!(responses(&tokenizer, &[generation]).unwrap(), ["so good"]);
    }

    #[test]
    fn a_score_that_cannot_be_used_is_an_error_of_its_own() {
        let texts = ["a", "b"].map(ScoredText::whole);
        let refused =
            |fake: fn(&[String]) -> Vec<f32>| score_texts(&Fake(fake), &texts).unwrap_err();
        assert!(matches!(
            refused(|_| vec![1.0]),
            RolloutError::ScoreCount { expected: 2, found: 1 }
        ));
        let score = refused(|_| vec![1.0, -3.2e37]);
        assert!(matches!(score, RolloutError::Score { row: 1, .. }), "{score}");
        assert!(
            score.to_string().starts_with("the reward model scored text 1 with -3.2e37"),
            "{score}"
        );
        assert_eq!(score_texts(&Fake(lengths), &[]).unwrap(), Scored::default());
    }
}

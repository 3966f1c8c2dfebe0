//! What arms are made into: language models, and whatever else answers prompts.

use std::rc::Rc;

use tailguard_gpt2::Gpt2;
use tailguard_lm::{CausalLm, Decoder};
use tailguard_rollout::{DrawSeed, Generation, Prompt, generate_by};

use crate::cost::Cost;
use crate::error::ExperimentError;
use crate::inputs::Inputs;

/// What an arm was made into.
#[derive(Clone)]
pub enum Made {
    /// A language model: its KL to the reference and its perplexity are measured.
    Model(Box<Gpt2>),
    /// Something else that answers prompts.
    Answers(Rc<dyn Answers>),
}

/// Prompts that want an answer.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The prompts, each behind the number of its episode, from whose stream it is answered.
    pub prompts: &'a [(usize, &'a Prompt)],
    /// All that is random comes from here, so that arms can be compared.
    pub draws: DrawSeed,
    /// Most prompts side by side.
    pub batch_size: usize,
}

/// An answer to a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The response.
    pub generation: Generation,
    /// All that was sampled and scored for it.
    pub cost: Cost,
}

impl From<Generation> for Answer {
    /// A response that was drawn once, and kept whatever it is.
    fn from(generation: Generation) -> Self {
        let sampled_tokens = generation.response_ids.len() as u64;
        Self { generation, cost: Cost { sampled_tokens, reward_calls: 0 } }
    }
}

/// Something that answers prompts and is no language model of its own, such as the best of several
/// responses.
pub trait Answers {
    /// One answer to each prompt, in their order.
    ///
    /// # Errors
    /// Whatever goes wrong.
    fn answer(&self, inputs: &Inputs, asked: &Asked<'_>) -> Result<Vec<Answer>, ExperimentError>;

    /// How many arms that draw again for the same prompts there are in it, one within the other.
    fn levels(&self) -> u32 {
        0
    }

    /// Whether the log-probabilities of its answers are those of the distribution that they are
    /// drawn from: then its KL to the reference can be estimated.
    fn knows_its_distribution(&self) -> bool {
        false
    }
}

impl From<Gpt2> for Made {
    fn from(model: Gpt2) -> Self {
        Self::Model(Box::new(model))
    }
}

impl Made {
    /// Something that answers prompts.
    pub fn answers(answers: impl Answers + 'static) -> Self {
        Self::Answers(Rc::new(answers))
    }

    /// The language model, if it is one.
    #[must_use]
    pub fn model(&self) -> Option<&Gpt2> {
        match self {
            Self::Model(model) => Some(model),
            Self::Answers(_) => None,
        }
    }

    /// How many arms that draw again for the same prompts there are in it, one within the other.
    #[must_use]
    pub fn levels(&self) -> u32 {
        match self {
            Self::Model(_) => 0,
            Self::Answers(answers) => answers.levels(),
        }
    }

    /// Whether the log-probabilities of its answers are those of the distribution that they are
    /// drawn from.
    #[must_use]
    pub fn knows_its_distribution(&self) -> bool {
        match self {
            Self::Model(_) => true,
            Self::Answers(answers) => answers.knows_its_distribution(),
        }
    }

    /// One answer to each prompt, in their order.
    ///
    /// # Errors
    /// A model that fails; more or fewer answers than prompts.
    pub fn answer(
        &self,
        inputs: &Inputs,
        asked: &Asked<'_>,
    ) -> Result<Vec<Answer>, ExperimentError> {
        let answers = match self {
            Self::Model(model) => sampled(&model.decoder(), inputs, asked)?,
            Self::Answers(answers) => answers.answer(inputs, asked)?,
        };
        let (found, expected) = (answers.len(), asked.prompts.len());
        if found != expected {
            let message = format!("the policy gave {found} answers to {expected} prompts");
            return Err(ExperimentError::failed(message));
        }
        Ok(answers)
    }
}

/// Responses that a decoder draws.
pub(crate) fn sampled<D: Decoder>(
    decoder: &D,
    inputs: &Inputs,
    asked: &Asked<'_>,
) -> Result<Vec<Answer>, ExperimentError> {
    let &Asked { prompts, draws, batch_size } = asked;
    let drawn = generate_by(decoder, None, prompts, &inputs.sampling, draws, batch_size)?;
    Ok(drawn.into_iter().map(Answer::from).collect())
}

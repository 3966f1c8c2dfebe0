//! `recipe = "prompted"`: a language model that reads an instruction before each prompt.

use tailguard_gpt2::Gpt2;
use tailguard_lm::CausalLm;
use tailguard_rollout::{Prompt, encode};

use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::made::{Answer, Answers, Asked, Made, sampled};
use crate::recipe::{Recipe, Work};
use crate::settings::{ArmSettings, Settings};

/// Puts the instruction of `[prompted]` in front.
pub(crate) struct Prompted;

impl Recipe for Prompted {
    fn sections(&self) -> &[&str] {
        &["prompted"]
    }

    fn sees_rewards(&self) -> bool {
        false
    }

    fn makes_model(&self) -> bool {
        false
    }

    fn samples(&self) -> bool {
        false
    }

    fn check(
        &self,
        arm: &ArmSettings,
        settings: &Settings,
        inputs: &Inputs,
    ) -> Result<(), ExperimentError> {
        let (length, context) =
            (instruction(settings, inputs)?.len(), inputs.base.config().n_positions);
        if length == 0 {
            let found = &settings.prompted.instruction;
            return Err(arm
                .wrong(format!("prompted.instruction is {found:?}, expected words"))
                .into());
        }
        let (prompt, response) = (settings.data.prompt_tokens, settings.sampling.max_new_tokens);
        let needed = length + settings.episode_tokens();
        if needed > context {
            let detail = format!(
                "prompted.instruction has {length} tokens: with data.prompt_tokens = {prompt} and \
                 sampling.max_new_tokens = {response} it needs {needed} positions, but the \
                 policy's context has {context}"
            );
            return Err(ExperimentError::from(arm.wrong(detail)));
        }
        Ok(())
    }

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        let model = work.model_to_begin_with()?.clone();
        let instruction = instruction(work.settings, work.inputs)?;
        Ok(Made::answers(Instructed { model, instruction }))
    }
}

/// The tokens of the instruction. They are found apart from those of the prompt, so that these are
/// the ones that all other arms read.
fn instruction(settings: &Settings, inputs: &Inputs) -> Result<Vec<u32>, ExperimentError> {
    let text = [settings.prompted.instruction.clone()];
    Ok(encode(&inputs.tokenizer, &text, usize::MAX)?.concat())
}

struct Instructed {
    model: Gpt2,
    instruction: Vec<u32>,
}

impl Answers for Instructed {
    fn answer(&self, inputs: &Inputs, asked: &Asked<'_>) -> Result<Vec<Answer>, ExperimentError> {
        let read = |(_, prompt): &(usize, &Prompt)| Prompt {
            ids: [self.instruction.as_slice(), &prompt.ids].concat(),
            text: prompt.text.clone(),
        };
        let prompts: Vec<Prompt> = asked.prompts.iter().map(read).collect();
        let episodes = asked.prompts.iter().map(|&(episode, _)| episode);
        let prompts: Vec<(usize, &Prompt)> = episodes.zip(&prompts).collect();
        sampled(&self.model.decoder(), inputs, &Asked { prompts: &prompts, ..*asked })
    }

    fn knows_its_distribution(&self) -> bool {
        true
    }
}

//! `recipe = "sft"`: next-token training on texts of a class, the good one unless it is said.

use std::ops::ControlFlow;

use tailguard_checkpoint::WeightType;
use tailguard_lm::CausalLm;

use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::made::Made;
use crate::observer::Event;
use crate::recipe::{Recipe, Work};
use crate::settings::{ArmSettings, Settings};

/// Trains by `[sft]`.
pub(crate) struct Sft;

impl Recipe for Sft {
    fn sections(&self) -> &[&str] {
        // the texts of `[sft]` are read once, for all arms
        &["sft.steps", "sft.batch_size", "sft.learning_rate", "sft.weight_decay", "sft.class"]
    }

    fn sees_rewards(&self) -> bool {
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
        let class = settings.sft.class;
        if inputs.sft_texts(class).is_empty() {
            let name = class.name();
            let detail = format!("sft.class is {name:?}, but no training text is of that class");
            return Err(ExperimentError::from(arm.wrong(detail)));
        }
        Ok(())
    }

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        if let Some(model) = work.finished()? {
            return Ok(model.into());
        }
        let (config, seed) = (&work.settings.sft.training, work.seed);
        let begun = Event::Training { arm: &work.arm.key, seed, total: config.steps, done: 0 };
        work.observer.tell(begun);
        let from = work.model_to_begin_with()?;
        let observer = &mut *work.observer;
        let model = tailguard_ppo::supervised(
            from,
            work.inputs.sft_texts(work.settings.sft.class),
            config,
            seed,
            &mut |step, loss| {
                observer.tell(Event::Step { step, loss });
                if observer.goes_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        )?;
        work.observer.tell(Event::Trained);
        let model = model.ok_or(ExperimentError::Stopped)?;
        work.finish(|dir| model.save(dir, WeightType::F32))?;
        Ok(model.into())
    }
}

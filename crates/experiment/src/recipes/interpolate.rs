//! `recipe = "interpolate"`: a trained policy, brought back along the line of the weights towards
//! the model that KL is measured to, until its KL is the one that is asked for.
//!
//! One training so gives a policy at each KL up to its own (Ramé et al., WARP, 2024, arXiv
//! 2406.16768, section 3.3, who call it LITI), and arms that ended at different KLs can be compared
//! at one.

use tailguard_checkpoint::WeightType;
use tailguard_lm::CausalLm;

use crate::equal_kl::Settling;
use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::made::Made;
use crate::recipe::{Recipe, Work};
use crate::settings::{ArmSettings, Settings};

/// What the arm calls the model at the other end of the line.
const TOWARDS: &str = "towards";

/// Goes by `[interpolate]`.
pub(crate) struct Interpolate;

impl Recipe for Interpolate {
    fn sections(&self) -> &[&str] {
        &["interpolate"]
    }

    fn needs(&self) -> &[&str] {
        &[TOWARDS]
    }

    /// Samples measure its KL, as in an evaluation, and nothing is learnt from them.
    fn samples(&self) -> bool {
        false
    }

    fn held_kl(&self, settings: &Settings) -> Option<f64> {
        Some(settings.interpolate.kl)
    }

    fn check(
        &self,
        arm: &ArmSettings,
        settings: &Settings,
        _inputs: &Inputs,
    ) -> Result<(), ExperimentError> {
        let (towards, reference) = (&arm.needs[TOWARDS], &settings.evaluation.reference);
        if towards == reference {
            return Ok(());
        }
        Err(arm
            .wrong(format!(
                "needs.{TOWARDS} = {towards:?}, but KL is measured to {reference:?} \
                 (evaluation.reference): expected the same"
            ))
            .into())
    }

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        if let Some(model) = work.finished()? {
            return Ok(model.into());
        }
        let (policy, reference) = (work.model_to_begin_with()?, work.model_needed(TOWARDS)?);
        if policy.config() != reference.config() {
            let arm = work.arm;
            let (from, towards) = (arm.from.as_deref().unwrap_or_default(), &arm.needs[TOWARDS]);
            return Err(arm
                .wrong(format!(
                    "there is no line between the weights of {from:?} and {towards:?}: expected \
                     two models of one architecture"
                ))
                .into());
        }
        let settling = Settling {
            name: (&work.arm.key, work.seed),
            reference,
            target: work.settings.interpolate.kl,
            way: [0.0, 1.0],
            inputs: work.inputs,
            settings: work.settings,
        };
        let model = settling.settle(policy.clone(), &mut *work.observer)?;
        work.finish(|dir| model.save(dir, WeightType::F32))?;
        Ok(model.into())
    }
}

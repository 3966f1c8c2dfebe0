//! `recipe = "dexperts"`: an expert and an anti-expert steer a base model, token by token (Liu et
//! al., ACL 2021).

use tailguard_gpt2::Gpt2;
use tailguard_lm::CausalLm;
use tailguard_rollout::{Experts, Steering};

use crate::error::ExperimentError;
use crate::inputs::Inputs;
use crate::made::{Answer, Answers, Asked, Made, sampled};
use crate::recipe::{Recipe, Work};
use crate::settings::DexpertsSection;

/// Steers the arm that it is made from by `[dexperts]`.
pub(crate) struct Dexperts;

const EXPERT: &str = "expert";
const ANTI_EXPERT: &str = "anti_expert";

impl Recipe for Dexperts {
    fn sections(&self) -> &[&str] {
        &["dexperts"]
    }

    fn needs(&self) -> &[&str] {
        &[EXPERT, ANTI_EXPERT]
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

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        let DexpertsSection { alpha, top_p } = work.settings.dexperts;
        #[expect(clippy::cast_possible_truncation, reason = "sampling works in single precision")]
        let steering = Steering { alpha: alpha as f32, top_p: top_p as f32 };
        let (base, expert, anti_expert) = (
            work.model_to_begin_with()?,
            work.model_needed(EXPERT)?,
            work.model_needed(ANTI_EXPERT)?,
        );
        let models = [base, expert, anti_expert].map(Gpt2::clone);
        Ok(Made::answers(Steered { models, steering }))
    }
}

struct Steered {
    /// Base model, expert, anti-expert.
    models: [Gpt2; 3],
    steering: Steering,
}

impl Answers for Steered {
    fn answer(&self, inputs: &Inputs, asked: &Asked<'_>) -> Result<Vec<Answer>, ExperimentError> {
        let decoders = self.models.each_ref().map(Gpt2::decoder);
        sampled(&Experts::new(decoders, self.steering, &inputs.sampling)?, inputs, asked)
    }

    fn knows_its_distribution(&self) -> bool {
        true
    }
}

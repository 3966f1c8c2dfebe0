//! `recipe = "base"`: the language model as it is.

use crate::error::ExperimentError;
use crate::made::Made;
use crate::recipe::{Recipe, Work};

/// Takes the model of `policy.dir`.
pub(crate) struct Base;

impl Recipe for Base {
    fn sections(&self) -> &[&str] {
        &[]
    }

    fn needs_from(&self) -> bool {
        false
    }

    fn samples(&self) -> bool {
        false
    }

    fn make(&self, work: &mut Work<'_>) -> Result<Made, ExperimentError> {
        Ok(work.inputs.base.clone().into())
    }
}

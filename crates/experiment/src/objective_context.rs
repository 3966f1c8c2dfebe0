//! What an objective is made from, whichever it is.

use toml::Value;

use crate::settings::Settings;

/// What an objective is made from.
#[derive(Clone, Copy)]
pub struct ObjectiveContext<'a> {
    /// What stands with its name, as the 0.4 in `objective = { keep_lowest = 0.4 }`.
    pub value: Option<&'a Value>,
    /// The settings of the arm.
    pub settings: &'a Settings,
}

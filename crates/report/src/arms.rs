//! The arms of a run: the policies that it compares, as its settings describe them.

use serde::{Deserialize, Serialize};

/// A policy that a run compares with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// What files and columns call it: small letters, digits and `_`.
    pub key: String,
    /// What tables and charts call it.
    pub title: String,
    /// The key of the arm that it was made from; nothing for a model that is taken as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl Arm {
    /// The arms of the paper's tables, in their order: what a run compares whose results name no
    /// arms.
    #[must_use]
    pub fn of_paper() -> Vec<Self> {
        let arm = |key: &str, title: &str, from: Option<&str>| Self {
            key: key.to_owned(),
            title: title.to_owned(),
            from: from.map(str::to_owned),
        };
        vec![
            arm("gpt2", "GPT-2", None),
            arm("sft", "SFT", Some("gpt2")),
            arm("rlhf", "RLHF", Some("sft")),
            arm("ra_rlhf", "RA-RLHF", Some("sft")),
        ]
    }

    /// The key of the arm that the paper measures KL to.
    #[must_use]
    pub fn reference_of_paper() -> String {
        "sft".to_owned()
    }
}

/// What tables and charts call the arm of a key; the key itself for one that is not among them.
#[must_use]
pub fn title<'a>(arms: &'a [Arm], key: &'a str) -> &'a str {
    arms.iter().find(|arm| arm.key == key).map_or(key, |arm| &arm.title)
}

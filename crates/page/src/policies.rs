//! Policies: their order, what they are called, and the style of each.

use tailguard_report::{Arm, by_name, title};

/// A policy of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// As the files name it.
    pub(crate) key: String,
    /// As people do.
    pub(crate) label: String,
    /// Which of the styles of lines and marks is its own.
    pub(crate) style: usize,
}

/// What a policy of that name is called.
pub(crate) fn label(arms: &[Arm], name: &str) -> String {
    crate::clean::line(title(arms, name))
}

/// The policies of these names: the arms in their order, then the others. Those of the paper have
/// the same style in every run.
pub(crate) fn policies<'a>(arms: &[Arm], names: impl Iterator<Item = &'a str>) -> Vec<Policy> {
    let of_paper = Arm::of_paper();
    let place = |arms: &[Arm], name: &str| {
        arms.iter().position(|arm| arm.key == name).unwrap_or(arms.len())
    };
    let mut names: Vec<&str> = names.collect();
    names.sort_by(|left, right| {
        place(arms, left).cmp(&place(arms, right)).then_with(|| by_name(left, right))
    });
    names.dedup();
    let mut next = of_paper.len();
    let policy = |name: &str| {
        let mut style = place(&of_paper, name);
        if style == of_paper.len() {
            (style, next) = (next, next + 1);
        }
        Policy { key: name.to_owned(), label: label(arms, name), style }
    };
    names.into_iter().map(policy).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_come_in_the_order_of_the_paper_and_others_after_them() {
        let found =
            policies(&Arm::of_paper(), ["sft", "best_of_8", "ra_rlhf", "dpo", "gpt2"].into_iter());
        let shown: Vec<_> =
            found.iter().map(|policy| (policy.label.as_str(), policy.style)).collect();
        assert_eq!(shown, [("GPT-2", 0), ("SFT", 1), ("RA-RLHF", 3), ("best_of_8", 4), ("dpo", 5)]);
        let steps = policies(&[], ["100", "20", "5"].into_iter());
        assert_eq!(
            steps.iter().map(|policy| policy.key.as_str()).collect::<Vec<_>>(),
            ["5", "20", "100"]
        );
    }
}

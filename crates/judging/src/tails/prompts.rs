//! Which prompts make the tail of a method, with their worst texts.

use std::collections::HashMap;

use tailguard_metrics::{ByPrompt, tail_prompts};
use tailguard_report::{MAIN_SHARE, TailPromptRow};
use tailguard_risk::RiskLevel;

use crate::error::JudgingError;

/// Prompts of each method that are told.
const MOST: usize = 20;

/// A text of a method with its reward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TailText<'a> {
    /// Number of its prompt, the same in all seeds.
    pub number: usize,
    /// The prompt.
    pub prompt: &'a str,
    /// The text, without the prompt; nothing where it is not known.
    pub response: Option<&'a str>,
    /// The reward.
    pub reward: f64,
}

/// The twenty prompts that have the largest share of the shortfall of the lowest tenth of a
/// method's rewards, from the one with the largest, each with its worst text.
///
/// # Errors
/// A reward that is no finite number.
///
/// # Example
/// ```
/// # use tailguard_judging::{TailText, worst_prompts};
/// let prompts = ["a", "b", "c", "d"];
/// let texts = (0..20).map(|place| TailText {
///     number: place % 4,
///     prompt: prompts[place % 4],
///     response: Some(" and so on"),
///     reward: f64::from(place as u32),
/// });
/// let rows = worst_prompts("sft", &[texts.collect()])?;
/// // 0 and 1 fall short of 2
/// let shares: Vec<_> = rows.iter().map(|row| (row.prompt.as_str(), row.in_tail)).collect();
/// assert_eq!(shares, [("a", 1), ("b", 1)]);
/// assert!((rows[0].share - 2.0 / 3.0).abs() < 1e-12 && rows[0].lowest == 0.0);
/// # Ok::<(), tailguard_judging::JudgingError>(())
/// ```
pub fn worst_prompts(
    method: &str,
    seeds: &[Vec<TailText<'_>>],
) -> Result<Vec<TailPromptRow>, JudgingError> {
    let level = RiskLevel::new(MAIN_SHARE)?;
    let rewards = |seed: &Vec<TailText<'_>>| -> Vec<ByPrompt> {
        seed.iter().map(|text| (text.number, text.reward)).collect()
    };
    let values: Vec<Vec<ByPrompt>> = seeds.iter().map(rewards).collect();
    let mut worst: HashMap<usize, &TailText<'_>> = HashMap::new();
    for text in seeds.iter().flatten() {
        let known = worst.entry(text.number).or_insert(text);
        if text.reward < known.reward {
            *known = text;
        }
    }
    let row = |found: &tailguard_metrics::TailPrompt| {
        let text = worst.get(&found.prompt)?;
        Some(TailPromptRow {
            method: method.to_owned(),
            prompt: text.prompt.to_owned(),
            share: found.share,
            in_tail: found.in_tail,
            texts: found.texts,
            mean: found.mean,
            lowest: text.reward,
            response: text.response.map(str::to_owned),
        })
    };
    let found = tail_prompts(&values, |count| level.count(count))?;
    Ok(found.iter().take(MOST).filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_text_is_that_of_all_seeds_and_no_more_than_twenty_prompts_are_told() {
        let names: Vec<String> = (0..300).map(|number| format!("prompt {number}")).collect();
        let texts = ["first", "second"];
        let seed = |place: usize| -> Vec<TailText<'_>> {
            let text = |number: usize| TailText {
                number,
                prompt: &names[number],
                response: Some(texts[place]),
                // the second seed is worse for prompts below ten, and better for others
                reward: number as f64 + place as f64 * if number < 10 { -0.5 } else { 0.5 },
            };
            (0..300).map(text).collect()
        };
        let rows = worst_prompts("sft", &[seed(0), seed(1)]).unwrap();
        assert_eq!(rows.len(), 20);
        assert!(rows.is_sorted_by(|one, other| one.share >= other.share));
        let first = &rows[0];
        assert_eq!((first.prompt.as_str(), first.in_tail, first.texts), ("prompt 0", 2, 2));
        assert_eq!((first.lowest, first.response.as_deref()), (-0.5, Some("second")));
        assert!((first.mean + 0.25).abs() < 1e-12);
        assert_eq!(rows[15].response.as_deref(), Some("first"));
    }
}

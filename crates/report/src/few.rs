//! What must be said of intervals that rest on a single prompt.

/// Says that intervals are over the texts of one prompt: of all, on so many different prompts, or
/// of the tail, where the tail is by prompts.
///
/// ```
/// # use tailguard_report::few_prompts;
/// assert_eq!(few_prompts(200, Some(20)), None);
/// let said = few_prompts(200, Some(1));
/// assert!(said.is_some_and(|said| said.starts_with("the tail is a single prompt")));
/// ```
#[must_use]
pub fn few_prompts(prompts: usize, tail: Option<usize>) -> Option<String> {
    let about = "are over its texts, if it has several, and say nothing about other prompts";
    match (prompts, tail) {
        (1, _) => Some(format!("there is a single prompt: intervals {about}")),
        (2.., Some(1)) => Some(format!("the tail is a single prompt: intervals of it {about}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_prompt_is_told_of_all_or_of_the_tail() {
        let said = |prompts, tail| few_prompts(prompts, tail).unwrap_or_default();
        assert!(
            said(1, Some(1)).starts_with("there is a single prompt")
                && said(10, Some(1)).starts_with("the tail is a single")
        );
        // two have an interval that is wide enough, and an empty tail has none
        assert_eq!(
            [
                few_prompts(2, Some(2)),
                few_prompts(10, None),
                few_prompts(10, Some(0)),
                few_prompts(0, None)
            ],
            [const { None }; 4]
        );
    }
}

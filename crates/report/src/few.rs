//! What must be said of intervals that rest on few prompts.

/// Of fewer values the bootstrap's 95 % interval of a mean is too narrow by a fifth and more: it has the deviation of n where it should
/// have that of n - 1, and the normal distribution's 1.96 in place of Student's t, which is 2.31 for 9 values.
const FEW: usize = 10;

/// Says that intervals over prompts rest on few of them: on so many different prompts, of which so many are of the tail, where the
/// tail is by prompts. Several texts of a prompt are no further prompts.
///
/// ```
/// # use tailguard_report::few_prompts;
/// assert_eq!(few_prompts(200, Some(20)), None);
/// assert!(few_prompts(200, Some(4)).is_some_and(|said| said.starts_with("intervals over prompts rest on 4 prompts in the tail:")));
/// ```
#[must_use]
pub fn few_prompts(prompts: usize, tail: Option<usize>) -> Option<String> {
    if prompts == 1 {
        return Some(
            "intervals of texts of a single prompt are over these texts, and say nothing about other prompts".to_owned(),
        );
    }
    few("prompt", prompts, tail)
}

/// The same where nothing is known of prompts, and intervals are over texts.
#[must_use]
pub fn few_texts(texts: usize, tail: Option<usize>) -> Option<String> {
    few("text", texts, tail)
}

fn few(unit: &str, all: usize, tail: Option<usize>) -> Option<String> {
    let is_few = |count: &usize| (1..FEW).contains(count);
    let rest = match (is_few(&all), tail.filter(is_few)) {
        (true, Some(tail)) if tail < all => format!("{all} {unit}s, and on {tail} in the tail"),
        (true, _) => format!("{all} {unit}s"),
        (false, Some(1)) => format!("a single {unit} in the tail"),
        (false, Some(tail)) => format!("{tail} {unit}s in the tail"),
        (false, None) => return None,
    };
    Some(format!("intervals over {unit}s rest on {rest}: with fewer than {FEW} they are a fifth too narrow, or more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_prompts_are_told_of_all_of_the_tail_or_of_both() {
        let said = |prompts, tail| few_prompts(prompts, tail).unwrap_or_default();
        let narrow = ": with fewer than 10 they are a fifth too narrow, or more";
        assert_eq!(said(2, None), format!("intervals over prompts rest on 2 prompts{narrow}"));
        assert_eq!(said(9, Some(3)), format!("intervals over prompts rest on 9 prompts, and on 3 in the tail{narrow}"));
        assert_eq!(said(10, Some(1)), format!("intervals over prompts rest on a single prompt in the tail{narrow}"));
        assert!(said(1, Some(1)).starts_with("intervals of texts of a single prompt"));
        assert_eq!(few_texts(4, Some(2)), Some(format!("intervals over texts rest on 4 texts, and on 2 in the tail{narrow}")));
        assert_eq!(few_texts(10, None), None);
        // an empty tail has no interval
        assert_eq!(
            [few_prompts(10, None), few_prompts(10, Some(10)), few_prompts(10, Some(0)), few_prompts(0, None)],
            [const { None }; 4]
        );
    }
}

//! What a word is, and what lies between words.

/// White space as Python's `str.split()` and `str.strip()` have it: also the four ASCII separators
/// 1C to 1F.
pub(crate) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// The words of a text: what white space parts, as Python's `str.split()` has it. All metrics of
/// words take these.
///
/// ```
/// # use tailguard_metrics::words;
/// assert_eq!(words(" a good\u{1c}film\n").collect::<Vec<_>>(), ["a", "good", "film"]);
/// ```
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_part_where_python_parts_them() {
        let text = " a\u{1c}b\u{a0}c\u{2003}d\n\ne\t\u{1f}";
        assert_eq!(words(text).collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
    }
}

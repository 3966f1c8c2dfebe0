//! Text that may hold anything, made fit for a page. Markup is escaped where it is written, by
//! `maud`.

use tailguard_report::turns_direction;

/// The text with control characters as visible signs: HTML has no place for them. Line ends and
/// tabs stay.
pub(crate) fn visible(text: &str) -> String {
    let sign = |character: char| match character {
        '\n' | '\t' => character,
        '\r' => '\u{240d}',
        '\0'..='\u{1f}' => {
            char::from_u32(0x2400 + u32::from(character)).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        '\u{7f}' => '\u{2421}',
        // not characters, by the standard
        '\u{fdd0}'..='\u{fdef}' => char::REPLACEMENT_CHARACTER,
        other if other.is_control() || u32::from(other) & 0xfffe == 0xfffe => {
            char::REPLACEMENT_CHARACTER
        }
        other => other,
    };
    text.replace("\r\n", "\n").chars().map(sign).collect()
}

/// [`visible`] in one line, and without the marks that turn the direction of what follows: for
/// titles and names.
pub(crate) fn line(text: &str) -> String {
    let one_line = visible(text).replace(['\n', '\t'], " ");
    one_line.chars().filter(|character| !turns_direction(*character)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_seen_and_do_nothing() {
        assert_eq!(
            visible("a\0b\u{1b}[31m\u{7f}\u{85}\u{ffff}\r\n\tc"),
            "a\u{2400}b\u{241b}[31m\u{2421}\u{fffd}\u{fffd}\n\tc"
        );
        assert_eq!(visible("שלום \u{202e}abc é"), "שלום \u{202e}abc é");
        assert_eq!(line("a\u{202e}b\nc\u{2067}d"), "ab cd");
    }
}

//! Texts and names of anyone's, made fit for a terminal.

/// The text without what would steer a terminal: control characters, and marks that turn the
/// direction of what follows, become spaces. Line ends and tabs stay.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars().map(|character| if is_harmless(character) { character } else { ' ' }).collect()
}

/// [`harmless`] in one line: line ends and tabs become spaces, too.
#[must_use]
pub fn one_line(text: &str) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

/// Whether a character turns the direction of what follows, so that text seems to say something
/// else.
#[must_use]
pub fn turns_direction(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

fn is_harmless(character: char) -> bool {
    character == '\n'
        || character == '\t'
        || !(turns_direction(character) || character.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\tc\nd\u{202e}"), "a [2Jb \tc\nd ");
        assert_eq!(one_line("a\u{1b}[2Jb\r\tc\nd"), "a [2Jb  c d");
    }
}

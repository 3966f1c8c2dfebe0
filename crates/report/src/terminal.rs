//! Texts and names of anyone's, made fit for a terminal.

/// The text without what would steer a terminal: control characters, and marks that turn the direction of what follows, become
/// spaces. Line ends and tabs stay.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars().map(|character| if is_harmless(character) { character } else { ' ' }).collect()
}

/// [`harmless`] in one line: line ends and tabs become spaces, too.
#[must_use]
pub fn one_line(text: &str) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

fn is_harmless(character: char) -> bool {
    let turns = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character == '\n' || character == '\t' || !(turns || character.is_control())
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

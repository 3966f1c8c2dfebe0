//! How lines are told apart: colours that colour-blind people see as different (Okabe and Ito),
//! dashes, and marks.
//!
//! Charts are drawn in sentinel colours, and get their true ones from the style sheet, which knows
//! light from dark.

use plotters::style::RGBColor;

/// Styles of lines; the first four are those of the paper's policies. Each colour comes three
/// times, with other dashes and marks.
pub(crate) const STYLES: usize = 3 * COLOURS;
/// Colours of lines.
const COLOURS: usize = 8;
/// The style of what is no policy: the prompts alone.
pub(crate) const PROMPT: usize = STYLES;

/// What a colour is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Axes and their numbers.
    Ink,
    /// The lines behind the data.
    Grid,
    /// The line of a series.
    Line(usize),
    /// A mark or a band of a series.
    Fill(usize),
}

/// The mark of a style.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Triangle,
    Square,
    Diamond,
    Circle,
    None,
}

impl Role {
    pub(crate) const ALL: [Self; 2 + 2 * (STYLES + 1)] = {
        let mut all = [Self::Ink; 2 + 2 * (STYLES + 1)];
        all[1] = Self::Grid;
        let mut style = 0;
        while style <= STYLES {
            all[2 + 2 * style] = Self::Line(style);
            all[3 + 2 * style] = Self::Fill(style);
            style += 1;
        }
        all
    };

    /// The colour that it is drawn in.
    pub(crate) fn sentinel(self) -> RGBColor {
        let number = |style: usize| u8::try_from(style).unwrap_or(u8::MAX);
        match self {
            Self::Ink => RGBColor(0xfe, 0, 0),
            Self::Grid => RGBColor(0xfe, 1, 0),
            Self::Line(style) => RGBColor(0xfe, 2, number(style)),
            Self::Fill(style) => RGBColor(0xfe, 3, number(style)),
        }
    }

    /// The colour that it is shown in, as a value of an attribute.
    pub(crate) fn shown(self) -> String {
        match self {
            Self::Ink => "var(--chart-ink, #444)".to_owned(),
            Self::Grid => "var(--chart-grid, #ddd)".to_owned(),
            Self::Line(style) | Self::Fill(style) => {
                format!("var(--s{}, {})", hue(style), colour(style))
            }
        }
    }
}

/// Which of the colours it is; that of the prompts is the last.
fn hue(style: usize) -> usize {
    if style == PROMPT { COLOURS } else { style % COLOURS }
}

/// The colour on white.
pub(crate) fn colour(style: usize) -> &'static str {
    [
        "#b35a8f", "#009e73", "#0072b2", "#d55e00", "#56b4e9", "#e69f00", "#000000", "#8a7f00",
        "#777777",
    ][hue(style)]
}

/// The dashes, in pixels of a chart; empty for a solid line.
pub(crate) fn dashes(style: usize) -> &'static [i32] {
    let dashes = [
        &[2, 3][..],
        &[8, 3, 2, 3],
        &[7, 4],
        &[],
        &[4, 2],
        &[10, 3, 2, 3, 2, 3],
        &[1, 2],
        &[12, 4],
    ];
    if style == PROMPT { &[1, 3] } else { dashes[(style + 3 * (style / COLOURS)) % COLOURS] }
}

/// The mark.
pub(crate) fn mark(style: usize) -> Mark {
    if style == PROMPT {
        return Mark::None;
    }
    [Mark::Triangle, Mark::Square, Mark::Diamond, Mark::Circle][(style + style / COLOURS) % 4]
}

/// A style for any number: those beyond the last begin again.
pub(crate) fn style(number: usize) -> usize {
    number % STYLES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_colour_of_its_own() {
        for (place, role) in Role::ALL.iter().enumerate() {
            assert!(
                Role::ALL[..place].iter().all(|other| other.sentinel() != role.sentinel()),
                "{role:?}"
            );
        }
    }

    #[test]
    fn no_two_styles_of_a_colour_share_dashes_or_mark_and_no_two_policies_of_the_paper_any() {
        for style in 0..=STYLES {
            for other in 0..style {
                let alike = [
                    colour(other) == colour(style),
                    dashes(other) == dashes(style),
                    mark(other) == mark(style),
                ];
                assert!(!alike[0] || !alike[1] && !alike[2], "{style} and {other}");
                assert!(style >= COLOURS || !alike[0] && !alike[1], "{style} and {other}");
            }
        }
        assert!((0..4).all(|style| (0..style).all(|other| mark(other) != mark(style))));
    }
}

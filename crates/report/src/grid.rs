//! A grid of cells, with a row per method.

use comfy_table::{Cell, CellAlignment, Table, presets};

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Columns for a terminal.
    Plain,
    /// A Markdown table.
    Markdown,
}

/// A method's row of every table.
pub(crate) struct Row<'a, T> {
    pub(crate) name: String,
    pub(crate) figures: &'a T,
}

/// A table with a row per method.
pub(crate) fn grid<T>(
    style: Style,
    heads: Vec<String>,
    rows: &[Row<'_, T>],
    cells: impl Fn(&Row<'_, T>) -> Vec<String>,
) -> String {
    let mut table = Table::new();
    table.load_style(if style == Style::Plain {
        presets::NOTHING
    } else {
        presets::ASCII_MARKDOWN
    });
    let to_the_right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    table.set_header(std::iter::once(Cell::new("")).chain(heads.into_iter().map(to_the_right)));
    for row in rows {
        let name =
            if style == Style::Markdown { row.name.replace('|', "\\|") } else { row.name.clone() };
        table.add_row(
            std::iter::once(Cell::new(name)).chain(cells(row).into_iter().map(to_the_right)),
        );
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

//! What a source file must be like: how it opens, how large it is, and which words it may have.

/// Lines of a source file.
const MOST_LINES: usize = 500;
/// Columns of a line.
const MOST_COLUMNS: usize = 100;
/// Columns before which a break would help nothing.
const NEAR: usize = 40;

/// Words that may stand in some files alone (outside tests): word, where it may stand, why nowhere
/// else.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        "std::fs",
        &[
            "crates/files/",
            "crates/data/",
            "crates/checkpoint/",
            "crates/report/",
            "crates/settings/",
            "crates/experiment/",
            "crates/ppo/src/training_state",
            "crates/cli/",
            "xtask/",
            "tests/",
        ],
        "only files, data, checkpoint, report, settings, experiment, ppo/training_state, cli and \
         xtask open files",
    ),
    ("std::{", &["/examples/"], "one `use` for each module of std, so that these words are found"),
    // what a build script writes is made again
    (
        "fs::write",
        &["crates/files/", "crates/cli/build.rs"],
        "only `files` writes, so that nothing is lost",
    ),
    ("fs::rename", &["crates/files/"], "only `files` renames, so that nothing is lost"),
    // of what is copied, both are files of a directory that `files` makes appear as a whole
    (
        "fs::copy",
        &[
            "crates/files/",
            "crates/experiment/src/recipe.rs",
            "crates/experiment/src/shared.rs",
            "crates/report/src/log.rs",
        ],
        "only `files` writes, so that nothing is lost",
    ),
    // the lock of a run directory
    (
        "File::options",
        &["crates/files/", "crates/report/src/run_dir.rs"],
        "only `files` writes, so that nothing is lost",
    ),
    // a line for each measurement, on a file that must not be there
    (
        "OpenOptions",
        &["crates/files/", "xtask/src/bench/compare/"],
        "only `files` writes, so that nothing is lost",
    ),
    // Burn's records are written by Burn, into a directory that `files` makes appear as a whole
    (
        ".into_record()",
        &["crates/ppo/src/training_state.rs"],
        "only ppo/training_state writes records, whole and with digests",
    ),
    (
        "optimizer.save(",
        &["crates/ppo/src/training_state.rs"],
        "only ppo/training_state writes records, whole and with digests",
    ),
    ("File::create", &["crates/files/"], "only `files` writes, so that nothing is lost"),
    (
        "fs::create_dir",
        &["crates/files/", "crates/report/src/run_dir.rs"],
        "only `files` and run_dir make folders",
    ),
    (
        "env::var",
        &["crates/data/src/source.rs", "crates/cli/", "xtask/", "tests/"],
        "only cli, xtask and data/source.rs read variables",
    ),
    ("process::exit", &["crates/cli/", "xtask/"], "only the program exits"),
    ("println!", &["crates/cli/", "xtask/", "/examples/", "/benches/"], "only the program prints"),
    ("Device::default()", &[], "it may take a device that is not there: name the device"),
    ("std::net", &["crates/data/src/hub.rs"], "only data/hub.rs knows the network"),
];

/// The claims about one source file.
pub(super) fn check_source(file: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !text.starts_with("//!") && !text.starts_with("#![doc") {
        problems.push(format!("{file}: opens without a `//!` line that says what it is"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        problems.push(format!("{file}: {lines} lines, at most {MOST_LINES}"));
    }
    let wide = text.lines().enumerate().filter(|(_, line)| is_too_wide(line));
    problems.extend(wide.map(|(index, line)| {
        let columns = line.chars().count();
        format!("{file}:{}: {columns} columns, at most {MOST_COLUMNS}", index + 1)
    }));
    let is_test = file.contains("/tests/")
        || file.ends_with("tests.rs")
        || file.starts_with("tests/")
        || file.starts_with("xtask/src/tidy");
    let code = program(text);
    for (word, places, why) in ONLY_IN.iter().filter(|_| !is_test) {
        let allowed = places.iter().any(|place| {
            file.starts_with(place) || (place.starts_with('/') && file.contains(place))
        });
        if let Some((index, _)) = code.iter().find(|(_, line)| !allowed && line.contains(word)) {
            problems.push(format!("{file}:{}: `{word}`: {why}", index + 1));
        }
    }
    problems
}

/// Whether a line is wider than it may be and could be broken: rustfmt leaves what it cannot read,
/// such as the inside of macros. An address, a raw string and what has no space far from its
/// beginning stay as they are.
fn is_too_wide(line: &str) -> bool {
    let indent = line.len() - line.trim_start().len();
    line.chars().count() > MOST_COLUMNS
        && !line.contains("://")
        && !line.contains("r#\"")
        && line.chars().skip(indent.max(NEAR)).any(|character| character == ' ')
}

/// The lines of a file that are neither comments nor for tests alone, each with its index.
///
/// Where an item ends is seen from how rustfmt sets it: at a `;` if it has opened no bracket, or
/// where its last bracket closes, as far to the left as it begins.
fn program(text: &str) -> Vec<(usize, &str)> {
    let (mut code, mut lines) = (Vec::new(), text.lines().enumerate());
    while let Some((index, line)) = lines.next() {
        let words = line.trim_start();
        let is_for_tests =
            words.starts_with("#[cfg(test)]") || words.starts_with("#[cfg(all(test,");
        if is_for_tests {
            pass_item(lines.by_ref().map(|(_, line)| line), line.len() - words.len());
        } else if !words.starts_with("//") {
            code.push((index, line));
        }
    }
    code
}

/// Passes over the lines of an item that begins so many spaces from the left, and over what stands
/// between it and its attribute.
fn pass_item<'a>(lines: impl Iterator<Item = &'a str>, indent: usize) {
    let mut is_open = false;
    for line in lines {
        let words = line.trim_start();
        if words.starts_with("//") || words.starts_with("#[") {
            continue;
        }
        let is_outermost = !words.is_empty() && line.len() - words.len() == indent;
        if (is_outermost || !is_open) && words.ends_with(';')
            || is_outermost && words.ends_with(['}', ','])
        {
            break;
        }
        is_open |= is_outermost && words.ends_with(['{', '(', '[']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(check_source("crates/risk/src/a.rs", "//! About.\n"), Vec::<String>::new());
        assert!(check_source("crates/risk/src/a.rs", "fn f() {}\n")[0].contains("opens without"));
    }

    #[test]
    fn words_are_found_in_code_but_not_in_comments_or_tests() {
        let bad = "//! About.\nuse std::fs;\n";
        assert_eq!(check_source("crates/risk/src/a.rs", bad).len(), 1);
        assert_eq!(check_source("crates/report/src/a.rs", bad).len(), 0);
        let fine = "//! About.\n// std::fs\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(check_source("crates/risk/src/a.rs", fine).len(), 0);
    }

    #[test]
    fn what_stands_behind_an_item_for_tests_is_read() {
        let found = |item: &str| {
            let text = format!("//! About.\n#[cfg(test)]\n{item}\nuse std::fs;\n");
            check_source("crates/risk/src/a.rs", &text)
        };
        for item in [
            "mod tests;",
            "mod fixtures;\n\nmod next;",
            "mod tests {\n    use std::fs;\n\n    fn f() \
             {\n        let a = [\n            1,\n        ];\n    }\n}",
            "/// Small.\n#[derive(Debug)]\nstruct Tiny {\n    a: u8,\n}",
            "const A: &str =\n    \"std::fs\";",
            "use a::{\n    b,\n    c,\n};",
            "fn f(\n    a: u8,\n) -> u8 {\n    std::fs::f(a);\n}",
            "impl Thing {}",
        ] {
            let line = 3 + item.lines().count();
            let problems = found(item);
            assert_eq!(problems.len(), 1, "{item}: {problems:?}");
            assert!(
                problems[0].starts_with(&format!("crates/risk/src/a.rs:{line}: `std::fs`")),
                "{item}: {problems:?}"
            );
        }
        let field = "//! About.\nstruct A \
            {\n    #[cfg(all(test, unix))]\n    a: std::fs::File,\n    b: std::fs::File,\n}\n";
        assert!(
            check_source("crates/risk/src/a.rs", field)[0].starts_with("crates/risk/src/a.rs:5:")
        );
    }

    #[test]
    fn files_are_written_by_no_other_way() {
        for line in [
            "fs::copy(a, b)?;",
            "File::options();",
            "OpenOptions::new();",
            "model.into_record().save(path)?;",
        ] {
            let text = format!("//! About.\n{line}\n");
            assert_eq!(check_source("crates/report/src/a.rs", &text).len(), 1, "{line}");
        }
        let text = "//! About.\nmodel.into_record();\noptimizer.save(path)?;\n";
        assert_eq!(check_source("crates/ppo/src/training_state.rs", text), [""; 0]);
    }

    #[test]
    fn long_files_are_found() {
        let text = "//! Long.\n".repeat(MOST_LINES + 1);
        assert!(check_source("crates/risk/src/a.rs", &text)[0].contains("501 lines"));
    }

    #[test]
    fn wide_lines_are_found_unless_they_cannot_be_broken() {
        let found = |line: &str| {
            let text = format!("//! About.\n{line}\n");
            check_source("crates/risk/src/a.rs", &text)
        };
        let (half, word) = (MOST_COLUMNS / 2, |length| "é".repeat(length));
        let narrow = format!("{} {}", word(half), word(half - 1));
        assert_eq!(found(&narrow), [""; 0], "columns are characters");
        let wide = format!("{narrow}é");
        assert_eq!(found(&wide), ["crates/risk/src/a.rs:2: 101 columns, at most 100"]);
        let whole = word(MOST_COLUMNS);
        for excused in [
            format!("{:60}\"{whole}\",", ""),
            format!("let a = \"{whole}\";"),
            format!("{wide} https://example.com"),
            format!("{wide} r#\"{whole}\"#"),
        ] {
            assert_eq!(found(&excused), [""; 0]);
        }
    }
}

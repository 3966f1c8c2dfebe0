//! The comparison as Markdown.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

use super::pairs::{Case, Measured, Subject};
use super::ratios::{Row, iterations, parts};
use crate::json_line::number;
use crate::spread::Spread;

/// The whole page: what was compared, one table per size, and what disturbed it.
///
/// # Errors
/// A line that lacks a figure.
pub fn markdown(measured: &[Measured]) -> Result<String> {
    let mut page = heading(measured)?;
    let (mut sizes, mut cases) = (Vec::new(), Vec::new());
    for Measured { pair, .. } in measured {
        if !sizes.contains(&pair.case.size) {
            sizes.push(pair.case.size);
        }
        if !cases.contains(&pair.case) {
            cases.push(pair.case);
        }
    }
    for size in sizes {
        table(&mut page, measured, size, &cases)?;
    }
    page += &disturbances(measured);
    Ok(page)
}

fn heading(measured: &[Measured]) -> Result<String> {
    let first = |subject| {
        measured
            .iter()
            .find(|measured| measured.pair.subject == subject)
            .context("nothing was measured")
    };
    let lines = &first(Subject::Iteration)?.attempt;
    let [ours, theirs] = [&lines.ours, &lines.theirs].map(|line| versions(&line["versions"]));
    let (machine, threads) = (&lines.ours["machine"], &lines.ours["threads"]);
    let rounds = measured.iter().map(|measured| measured.pair.round).max().unwrap_or(0);
    let rounds = if rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") };
    Ok(format!(
        "# tailguard, TRL and PyTorch\n\n{ours}; {theirs}. {} threads on {}, {} cores. Medians \
         over {rounds} (least to greatest); the ratio is of figures that were measured one after \
         the other, theirs over ours for times and memory, ours over theirs for rates: above 1, \
         tailguard is better.\n",
        threads,
        machine["cpu"].as_str().unwrap_or("an unknown CPU"),
        machine["cores"]
    ))
}

/// `burn 0.22.1, tailguard 0.1.0`.
fn versions(versions: &Value) -> String {
    let named = |(name, version): (&String, &Value)| {
        format!("{name} {}", version.as_str().unwrap_or("of unknown version"))
    };
    versions.as_object().into_iter().flatten().map(named).collect::<Vec<_>>().join(", ")
}

fn table(page: &mut String, measured: &[Measured], size: &str, cases: &[Case]) -> Result<()> {
    write!(
        page,
        "\n## {size}\n\n| | against | tailguard | peer | ratio |\n|---|---|--:|--:|--:|\n"
    )?;
    for &case in cases.iter().filter(|case| case.size == size) {
        for row in iterations(measured, case)? {
            let kept = kept(measured, case)?;
            line(page, &format!("{}, {kept}", row.what), &row)?;
        }
    }
    for row in parts(measured, size)? {
        line(page, &row.what, &row)?;
    }
    Ok(())
}

/// `64 of 64 kept`.
fn kept(measured: &[Measured], case: Case) -> Result<String> {
    let matching = |measured: &&Measured| {
        measured.pair.case == case && measured.pair.subject == Subject::Iteration
    };
    let ours = &measured.iter().find(matching).context("nothing was measured")?.attempt.ours;
    Ok(format!("{} of {} kept", number(ours, &["kept"])?, number(ours, &["config", "batch"])?))
}

fn line(page: &mut String, what: &str, row: &Row) -> Result<()> {
    let unit = row.unit.name();
    let (ours, theirs) = (cell(row.ours, unit), cell(row.theirs, unit));
    let Spread { median, min, max } = row.ratio;
    writeln!(
        page,
        "| {what} | {} | {ours} | {theirs} | **{median:.2}** ({min:.2} to {max:.2}) |",
        row.peer
    )?;
    Ok(())
}

fn cell(Spread { median, min, max }: Spread, unit: &str) -> String {
    format!("{} {unit} ({} to {})", digits(median), digits(min), digits(max))
}

/// Three significant digits, and all digits before the point.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        hundreds if hundreds >= 99.95 => 0,
        tens if tens >= 9.995 => 1,
        ones if ones >= 0.9995 => 2,
        tenths if tenths >= 0.099_95 => 3,
        _ => 4,
    };
    format!("{value:.places$}")
}

/// Says how quiet the machine was.
fn disturbances(measured: &[Measured]) -> String {
    let most = measured.iter().map(|measured| measured.attempt.others()).fold(0.0, f64::max);
    let disturbed: Vec<String> = measured
        .iter()
        .filter(|measured| !measured.attempt.is_quiet())
        .map(|measured| measured.pair.to_string())
        .collect();
    let verdict = if disturbed.is_empty() {
        "no pair counts that was disturbed".to_owned()
    } else {
        format!("**disturbed, whatever was repeated: {}**", disturbed.join("; "))
    };
    format!(
        "\nOther processes took at most {most:.2} cores while something was measured; {verdict}.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::ratios::tests::measured;
    use super::*;

    #[test]
    fn the_page_has_a_table_with_medians_ranges_and_ratios() {
        let page = markdown(&measured()).unwrap();
        for expected in [
            "burn 0.22.1, tailguard 0.1.0; torch 2.5.1, trl 0.11.4. 2 threads on A CPU, 2 cores. \
             Medians over 3 rounds",
            "\n## xs\n\n| | against | tailguard | peer | ratio |\n|---|---|--:|--:|--:|\n",
            "| PPO iteration, 64 of 64 kept | TRL | 2.00 s (2.00 to 2.00) | 4.00 s (4.00 to 6.00) \
             | **2.00** (2.00 to 3.00) |\n",
            "| update, 26 of 64 kept | lean PyTorch | 1.25 s",
            "| peak memory, 26 of 64 kept | TRL | 500 MiB (500 to 500) | 1000 MiB",
            "| product square_1024 | PyTorch | 60.0 GFLOP/s (60.0 to 60.0) | 120 GFLOP/s (120 to \
             120) | **0.50** (0.50 to 0.50) |\n",
            "took at most 0.04 cores while something was measured; no pair counts that was \
             disturbed.\n",
        ] {
            assert!(page.contains(expected), "no {expected:?} in:\n{page}");
        }
    }

    #[test]
    fn one_round_is_one_round() {
        let mut measured = measured();
        measured.retain(|measured| measured.pair.round == 1);
        assert!(markdown(&measured).unwrap().contains("Medians over 1 round (least"));
    }

    #[test]
    fn a_disturbed_pair_is_named() {
        let mut measured = measured();
        measured[1].attempt.theirs["other_processes_cores"] = 0.75.into();
        let page = markdown(&measured).unwrap();
        assert!(
            page.contains("at most 0.75 cores")
                && page.contains("repeated: xs iteration, alpha 1, round 1**"),
            "{page}"
        );
    }

    #[test]
    fn numbers_have_three_digits_and_those_before_the_point() {
        let shown =
            [12_345.6, 999.9, 99.96, 99.94, 9.996, 1.234_5, 0.999_6, 0.123_45, 0.012_345, 0.0]
                .map(digits);
        assert_eq!(
            shown,
            ["12346", "1000", "100", "99.9", "10.0", "1.23", "1.00", "0.123", "0.0123", "0.0000"]
        );
    }
}

//! Which figure of ours is set against which of theirs.

use anyhow::{Context, Result};
use serde_json::Value;

use super::pairs::{Case, Measured, Subject};
use crate::json_line::number;
use crate::spread::Spread;

/// What a figure is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Mebibytes,
    Gflops,
}

impl Unit {
    /// As it is written behind a number.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Mebibytes => "MiB",
            Self::Gflops => "GFLOP/s",
        }
    }

    /// Above 1 where ours is better.
    fn ratio(self, ours: f64, theirs: f64) -> f64 {
        match self {
            Self::Seconds | Self::Mebibytes => theirs / ours,
            Self::Gflops => ours / theirs,
        }
    }
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// What was measured.
    pub(super) what: String,
    /// Against whom.
    pub(super) peer: &'static str,
    pub(super) unit: Unit,
    pub(super) ours: Spread,
    pub(super) theirs: Spread,
    /// Of the figures that were measured one after the other.
    pub(super) ratio: Spread,
}

impl Row {
    fn new(
        what: impl Into<String>,
        peer: &'static str,
        unit: Unit,
        rounds: &[(f64, f64)],
    ) -> Result<Self> {
        let spread = |of: &dyn Fn(&(f64, f64)) -> f64| {
            Spread::of(&rounds.iter().map(of).collect::<Vec<_>>()).context("nothing was measured")
        };
        Ok(Self {
            what: what.into(),
            peer,
            unit,
            ours: spread(&|round| round.0)?,
            theirs: spread(&|round| round.1)?,
            ratio: spread(&|round| unit.ratio(round.0, round.1))?,
        })
    }
}

/// A path of keys in a line.
type Path<'a> = &'a [&'a str];

/// Our iterations against TRL's: what, unit, paths that are added up, the peer's path.
const TRL: &[(&str, Unit, &[Path<'static>], Path<'static>)] = &[
    ("PPO iteration", Unit::Seconds, &[&["iteration_s"]], &["iteration_s"]),
    ("generation", Unit::Seconds, &[&["generate_s"]], &["generate_s"]),
    ("reference, update", Unit::Seconds, &[&["reference_s"], &["update_s"]], &["step_s"]),
    ("peak memory", Unit::Mebibytes, &[&["peak_rss_mib"]], &["peak_rss_mib"]),
];

/// Our iterations against lean PyTorch's: what, ours, the peer's.
const LEAN: &[(&str, &str, &str)] = &[
    ("PPO iteration", "iteration_s", "iteration"),
    ("generation", "generate_s", "generate"),
    // what theirs counts of advantages is little, and ours counts it with the update
    ("reference", "reference_s", "reference_and_advantages"),
    ("update", "update_s", "update"),
];

/// What an iteration is made of: what, ours, PyTorch's.
const PARTS: &[(&str, &str, &str)] = &[
    ("forward pass, all logits", "forward", "forward"),
    (
        "forward pass, logits of responses",
        "forward_response_logits_only",
        "forward_response_logits_only",
    ),
    ("training step", "train", "train"),
    ("generation, against a sampler by hand", "generate", "generate_by_hand"),
    ("generation, against transformers", "generate", "generate_transformers"),
];

/// The rows about the iterations of a case.
///
/// # Errors
/// A figure that a line lacks.
pub(super) fn iterations(measured: &[Measured], case: Case) -> Result<Vec<Row>> {
    let of = |subject| {
        let matching = move |measured: &&Measured| {
            measured.pair.case == case && measured.pair.subject == subject
        };
        measured.iter().filter(matching).map(|measured| &measured.attempt).collect::<Vec<_>>()
    };
    let (trl, parts) = (of(Subject::Iteration), of(Subject::Parts));
    let mut rows = Vec::new();
    for &(what, unit, ours, theirs) in TRL {
        let figures = trl
            .iter()
            .map(|attempt| Ok((sum(&attempt.ours, ours)?, number(&attempt.theirs, theirs)?)));
        rows.push(Row::new(what, "TRL", unit, &figures.collect::<Result<Vec<_>>>()?)?);
    }
    for &(what, ours, theirs) in LEAN {
        // rounds are in the same order on both sides
        let figures = trl.iter().zip(&parts).map(|(iteration, parts)| {
            let kept = number(&iteration.ours, &["kept"])?.to_string();
            let path = ["lean_iteration_s_by_kept_episodes", kept.as_str(), theirs];
            Ok((number(&iteration.ours, &[ours])?, number(&parts.theirs, &path)?))
        });
        rows.push(Row::new(
            what,
            "lean PyTorch",
            Unit::Seconds,
            &figures.collect::<Result<Vec<_>>>()?,
        )?);
    }
    let figures = trl.iter().zip(&parts).map(|(iteration, parts)| {
        Ok((
            number(&iteration.ours, &["gflops"])?,
            number(&parts.ours, &["matrix_product_gflops", "square_1024"])?,
        ))
    });
    let what = "arithmetic of the update";
    rows.push(Row::new(
        what,
        "our product of 1024 x 1024 matrices",
        Unit::Gflops,
        &figures.collect::<Result<Vec<_>>>()?,
    )?);
    Ok(rows)
}

/// The rows about what an iteration of a size is made of, over all shares that are kept.
///
/// # Errors
/// A figure that a line lacks.
pub(super) fn parts(measured: &[Measured], size: &str) -> Result<Vec<Row>> {
    let matching = |measured: &&Measured| {
        measured.pair.case.size == size && measured.pair.subject == Subject::Parts
    };
    let attempts: Vec<_> =
        measured.iter().filter(matching).map(|measured| &measured.attempt).collect();
    let row = |what: &str, unit, ours: Path<'_>, theirs: Path<'_>| {
        let figures = attempts
            .iter()
            .map(|attempt| Ok((number(&attempt.ours, ours)?, number(&attempt.theirs, theirs)?)));
        Row::new(what, "PyTorch", unit, &figures.collect::<Result<Vec<_>>>()?)
    };
    let mut rows = Vec::new();
    for &(what, ours, theirs) in PARTS {
        rows.push(row(
            what,
            Unit::Seconds,
            &["seconds", ours, "median"],
            &["seconds", theirs, "median"],
        )?);
    }
    let products = attempts
        .first()
        .and_then(|attempt| attempt.theirs.get("matrix_product_gflops"))
        .and_then(Value::as_object);
    for name in products.into_iter().flatten().map(|(name, _)| name) {
        let path = ["matrix_product_gflops", name.as_str()];
        rows.push(row(&format!("product {name}"), Unit::Gflops, &path, &path)?);
    }
    Ok(rows)
}

fn sum(line: &Value, paths: &[Path<'_>]) -> Result<f64> {
    paths.iter().map(|path| number(line, path)).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::super::pairs::{Attempt, plan};
    use super::*;

    /// Lines in which theirs take twice our time, three times in round 3, and products twice our
    /// rate.
    pub(in super::super) fn measured() -> Vec<Measured> {
        let pairs = plan(&["xs"], &[1.0, 0.4], 3);
        let attempt = |subject, alpha: f64, slower: f64| match subject {
            Subject::Iteration => Attempt {
                ours: json!({
                    "benchmark": "iteration",
                    "iteration_s": 2.0,
                    "generate_s": 0.5,
                    "reference_s": 0.25,
                    "update_s": 1.25,
                    "gflops": 45.0,
                    "peak_rss_mib": 500.0,
                    "kept": if alpha < 1.0 { 26 } else { 64 },
                    "other_processes_cores": 0.02,
                    "config": {"batch": 64},
                    "threads": 2,
                    "parameters": 10,
                    "machine": {"cpu": "A CPU", "cores": 2},
                    "versions": {"tailguard": "0.1.0", "burn": "0.22.1"},
                }),
                theirs: json!({
                    "benchmark": "trl_ppo",
                    "iteration_s": 2.0 * slower,
                    "generate_s": 0.5 * slower,
                    "step_s": 1.5 * slower,
                    "peak_rss_mib": 500.0 * slower,
                    "other_processes_cores": 0.04,
                    "versions": {"torch": "2.5.1", "trl": "0.11.4"},
                }),
            },
            Subject::Parts => {
                let lean = json!({
                    "iteration": 2.0 * slower,
                    "generate": 0.5 * slower,
                    "reference_and_advantages": 0.25 * slower,
                    "update": 1.25 * slower,
                });
                let seconds = |names: &[&str], factor: f64| {
                    names
                        .iter()
                        .map(|name| ((*name).to_owned(), json!({"median": 0.1 * factor})))
                        .collect::<Value>()
                };
                let ours = ["forward", "forward_response_logits_only", "train", "generate"];
                let theirs = [
                    "forward",
                    "forward_response_logits_only",
                    "train",
                    "generate_by_hand",
                    "generate_transformers",
                ];
                Attempt {
                    ours: json!({
                        "benchmark": "gpt2",
                        "seconds": seconds(&ours, 1.0),
                        "matrix_product_gflops": {"square_1024": 60.0},
                    }),
                    theirs: json!({
                        "benchmark": "gpt2_pytorch",
                        "seconds": seconds(&theirs, slower),
                        "matrix_product_gflops": {"square_1024": 120.0},
                        "lean_iteration_s_by_kept_episodes": {"64": lean.clone(), "26": lean},
                    }),
                }
            }
        };
        let measured = |pair: super::super::pairs::Pair| {
            let slower = if pair.round == 3 { 3.0 } else { 2.0 };
            Measured { pair, attempt: attempt(pair.subject, pair.case.alpha, slower) }
        };
        pairs.into_iter().map(measured).collect()
    }

    fn near(spread: Spread, [median, min, max]: [f64; 3]) -> bool {
        [(spread.median, median), (spread.min, min), (spread.max, max)]
            .into_iter()
            .all(|(a, b)| (a - b).abs() < 1e-9)
    }

    #[test]
    fn ratios_are_theirs_over_ours_round_by_round() {
        let rows = iterations(&measured(), Case { size: "xs", alpha: 0.4 }).unwrap();
        let (arithmetic, rows) = rows.split_last().unwrap();
        assert_eq!(rows.len(), TRL.len() + LEAN.len());
        assert!(
            near(arithmetic.ratio, [0.75; 3]) && near(arithmetic.theirs, [60.0; 3]),
            "{arithmetic:?}"
        );
        for row in rows {
            assert!(near(row.ratio, [2.0, 2.0, 3.0]), "{row:?}");
        }
        assert!(near(rows[2].ours, [1.5; 3]), "reference and update are added: {:?}", rows[2]);
        assert!(near(rows[0].theirs, [4.0, 4.0, 6.0]));
    }

    #[test]
    fn rates_are_ours_over_theirs_and_parts_take_all_shares_together() {
        let rows = parts(&measured(), "xs").unwrap();
        assert_eq!(rows.len(), PARTS.len() + 1);
        let product = rows.last().unwrap();
        assert_eq!((product.what.as_str(), product.unit), ("product square_1024", Unit::Gflops));
        assert!(near(product.ratio, [0.5; 3]));
        assert!(rows[..PARTS.len()].iter().all(|row| near(row.ratio, [2.0, 2.0, 3.0])));
    }

    #[test]
    fn a_missing_figure_is_named() {
        let mut measured = measured();
        measured[1].attempt.theirs["step_s"] = Value::Null;
        let error = iterations(&measured, Case { size: "xs", alpha: 1.0 }).unwrap_err().to_string();
        assert_eq!(error, "no number `step_s` in the line of `trl_ppo`");
        assert!(parts(&[], "s").is_err());
    }
}

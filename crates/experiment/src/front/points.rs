//! Points of the front as files have them.

use indexmap::IndexMap;
use tailguard_front::{Gains, Point};
use tailguard_metrics::Estimate;
use tailguard_report::{Figure, FrontGains, FrontPoint};
use tailguard_risk::{RiskError, RiskLevel};

/// The levels of `CVaR`.
const LEVELS: [f64; 4] = [0.05, 0.1, 0.2, 0.4];

/// The levels at which `CVaR` is told.
pub(super) fn levels() -> Result<Vec<RiskLevel>, RiskError> {
    LEVELS.into_iter().map(RiskLevel::new).collect()
}

/// A point under this name.
pub(super) fn point(name: String, point: Point) -> FrontPoint {
    let Point { beta, figures, kl_where_spent, effective_responses, gains } = point;
    FrontPoint {
        name,
        beta,
        kl: figures.kl.into(),
        kl_where_spent,
        effective_responses,
        reward: figures.mean.into(),
        tail: figures.tail.map(Figure::from),
        judge: figures.judge.map(Figure::from),
        judge_tail: figures.judge_tail.map(Figure::from),
        cvar: by_level(figures.cvar),
        gains: gains.map(of_gains),
    }
}

fn of_gains(gains: Gains) -> FrontGains {
    let Gains { beta, mean, tail, judge, judge_tail, cvar } = gains;
    FrontGains {
        beta,
        reward: mean.into(),
        tail: tail.map(Figure::from),
        judge: judge.map(Figure::from),
        judge_tail: judge_tail.map(Figure::from),
        cvar: by_level(cvar),
    }
}

fn by_level(figures: Vec<Estimate>) -> IndexMap<String, Figure> {
    LEVELS.iter().map(ToString::to_string).zip(figures.into_iter().map(Figure::from)).collect()
}

/// A coefficient by three digits that count.
pub(super) fn shown(beta: f64) -> String {
    let digits = (0..12).find(|&digits| beta * 10_f64.powi(digits) >= 99.95).unwrap_or(12);
    let text = format!("{beta:.0$}", usize::try_from(digits).unwrap_or_default());
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_have_three_digits() {
        let all = [0.1, 0.365_33, 0.012_34, 12.0, 1234.5, 1.0].map(shown);
        assert_eq!(all, ["0.1", "0.365", "0.0123", "12", "1234", "1"]);
    }
}

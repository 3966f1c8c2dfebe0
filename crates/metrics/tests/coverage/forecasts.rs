//! How far off a forecast of the worst text is, by how the tail falls off.

use tailguard_metrics::{ByPrompt, forecast_worst};

use crate::draws::Draws;

/// What a tail makes of a uniform number that is small where values are low.
#[derive(Clone, Copy, Debug)]
enum TailKind {
    Exponential,
    Normal,
    /// Values that end at -1.
    Bounded,
    /// Falls off more slowly than an exponential one.
    Lognormal,
}

const DATA_SETS: u32 = 400;

impl TailKind {
    fn draw(self, draws: &mut Draws) -> f64 {
        match self {
            Self::Exponential | Self::Bounded => self.at(draws.uniform()),
            Self::Normal => draws.normal(),
            Self::Lognormal => -draws.normal().exp(),
        }
    }

    /// The value that values are below with this probability.
    fn at(self, below: f64) -> f64 {
        match self {
            Self::Exponential => below.ln(),
            Self::Normal => low_normal(below),
            Self::Bounded => below - 1.0,
            Self::Lognormal => -(-low_normal(below)).exp(),
        }
    }
}

/// The normal quantile, by halving.
fn low_normal(below: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if normal_below(middle) < below { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The normal distribution: its series, and its continued fraction far out.
fn normal_below(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    if z > 2.5 {
        return 1.0 - normal_below(-z);
    }
    if z < -2.5 {
        return density / (1..60).rev().fold(-z, |rest, term| f64::from(term) / rest - z);
    }
    let (mut term, mut sum) = (z, z);
    for power in 1..40 {
        term *= z * z / f64::from(2 * power + 1);
        sum += term;
    }
    0.5 + density * sum
}

/// The share of worst new values within the range, below it, and the mean distance of the median
/// from the true one.
fn held(kind: TailKind, prompts: usize, times: usize) -> [f64; 3] {
    let mut draws = Draws::new(7);
    let many = (prompts * times) as f64;
    let truth = kind.at(-(0.5_f64.ln() / many).exp_m1());
    let mut held = [0.0; 3];
    for _ in 0..DATA_SETS {
        let values: Vec<ByPrompt> =
            (0..prompts).map(|prompt| (prompt, kind.draw(&mut draws))).collect();
        let forecast = forecast_worst(&values, times).unwrap();
        // the lowest of so many uniform numbers
        let worst = kind.at(-(draws.uniform().ln() / many).exp_m1());
        let [low, high] = forecast.range95;
        held[0] += f64::from(u8::from(low <= worst && worst <= high));
        held[1] += f64::from(u8::from(worst < low));
        held[2] += forecast.median - truth;
    }
    held.map(|sum| sum / f64::from(DATA_SETS))
}

#[test]
fn exponential_tails_are_forecast_as_often_as_said() {
    for (prompts, times) in [(100, 10), (500, 100), (500, 1_000)] {
        let [within, below, _] = held(TailKind::Exponential, prompts, times);
        assert!(
            (0.925..0.975).contains(&within) && below < 0.05,
            "{prompts} x {times}: {within} {below}"
        );
    }
}

#[test]
fn normal_tails_are_forecast_too_low_and_never_too_high() {
    for (times, most) in [(10, 0.7), (1_000, 1.6)] {
        let [within, below, off] = held(TailKind::Normal, 400, times);
        assert!(
            within > 0.78 && below < 0.02 && (-most..-0.1).contains(&off),
            "x {times}: {within} {below} {off}"
        );
    }
}

#[test]
fn values_with_an_end_are_forecast_beyond_it() {
    let [within, below, off] = held(TailKind::Bounded, 400, 10);
    assert!(within < 0.5 && below < 0.01 && off < 0.0, "{within} {below} {off}");
}

#[test]
fn slow_tails_are_forecast_too_high() {
    let [_, below, off] = held(TailKind::Lognormal, 400, 10);
    assert!((0.1..0.4).contains(&below) && off > 0.0, "{below} {off}");
}

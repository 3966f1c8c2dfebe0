//! Points of Student's t distribution.

use std::f64::consts::PI;

use crate::beta::beta_below;

/// The point that the normal distribution exceeds with probability 2.5 %.
pub(crate) const NORMAL_975: f64 = 1.959_963_984_540_054;
/// From so many degrees of freedom on, the expansion about the normal distribution is exact to six
/// digits.
const MANY: f64 = 200.0;

/// The point that Student's t exceeds with probability 2.5 %, for one degree of freedom or more,
/// not only a whole number. To six digits; between one degree and two to 2e-5 of it.
pub(crate) fn t_975(freedom: f64) -> f64 {
    if freedom >= MANY {
        return expansion(freedom);
    }
    // With t = sqrt(freedom) tan(angle) the density is that of cos^(freedom - 1), which is smooth
    // up to one degree.
    let norm = half_beta(freedom / 2.0);
    let mut t = NORMAL_975;
    // Newton's method from below never overshoots, as the distribution function bends down.
    for _ in 0..60 {
        let angle = (t / freedom.sqrt()).atan();
        let missing = 0.95 - integral(angle, freedom - 1.0) / norm;
        let step = missing * norm * freedom.sqrt() / angle.cos().powf(freedom + 1.0);
        t += step;
        if step.abs() < 1e-9 * t {
            break;
        }
    }
    t
}

/// The probability that Student's t is at least so far from 0, to either side.
pub(crate) fn two_sided(t: f64, freedom: f64) -> f64 {
    beta_below(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// 26.7.5 of Abramowitz and Stegun, up to the second order.
fn expansion(freedom: f64) -> f64 {
    let z = NORMAL_975;
    z + (z.powi(3) + z) / (4.0 * freedom)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * freedom * freedom)
}

/// Integral of `cos^power` from 0 to an angle, by Simpson's rule.
fn integral(angle: f64, power: f64) -> f64 {
    const PARTS: u32 = 40;
    let step = angle / f64::from(PARTS);
    let weight = |part: u32| if part % 2 == 1 { 4.0 } else { 2.0 };
    let inner: f64 =
        (1..PARTS).map(|part| weight(part) * (step * f64::from(part)).cos().powf(power)).sum();
    (1.0 + inner + angle.cos().powf(power)) * step / 3.0
}

/// Integral of `cos^(2x - 1)` over a quarter turn: half of `B(1/2, x)`. The ratio of gamma
/// functions in it is taken far out, where its expansion converges, and brought back by their
/// recurrence.
fn half_beta(mut x: f64) -> f64 {
    let mut ratio = 1.0;
    while x < 30.0 {
        ratio *= (x + 0.5) / x;
        x += 1.0;
    }
    let y = x.recip();
    ratio * (PI / x).sqrt() / 2.0 * (1.0 + y / 8.0 + y * y / 128.0 - 5.0 * y.powi(3) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tailguard_tests::{cases, float, list};

    #[test]
    fn golden_points_and_chances() {
        for case in list(&cases("metrics/intervals.json")["student"]) {
            let [freedom, t, point, beyond] =
                ["freedom", "t", "point", "beyond"].map(|key| float(&case[key]));
            // the integrand has a steep end between one degree and two
            let allowed = if freedom < 2.0 { 1e-5 } else { 1e-6 };
            let found = t_975(freedom);
            assert!((found - point).abs() < allowed * point, "{case}: {found}");
            let found = two_sided(t, freedom);
            assert!((found - beyond).abs() < 1e-12 * beyond, "{case}: {found}");
        }
    }

    #[test]
    fn points_agree_with_printed_tables() {
        let table = [
            (1, 12.7062),
            (2, 4.3027),
            (3, 3.1824),
            (4, 2.7764),
            (5, 2.5706),
            (9, 2.2622),
            (30, 2.0423),
            (120, 1.9799),
        ];
        for (freedom, point) in table {
            assert!(
                (t_975(f64::from(freedom)) - point).abs() < 5.1e-5,
                "{freedom}: {}",
                t_975(f64::from(freedom))
            );
        }
        assert!(
            (t_975(1e9) - NORMAL_975).abs() < 1e-8
                && (t_975(MANY - 1e-9) - t_975(MANY)).abs() < 1e-6
        );
    }

    #[test]
    fn one_in_twenty_is_beyond_the_point_for_one_in_twenty() {
        for freedom in [1.0, 1.5, 2.0, 7.3, 40.0, 199.0, 201.0, 5_000.0] {
            assert!(
                (two_sided(t_975(freedom), freedom) - 0.05).abs() < 1e-6,
                "{freedom}: {}",
                two_sided(t_975(freedom), freedom)
            );
        }
        // of one degree it is the distribution of Cauchy
        assert!(
            (two_sided(1.0, 1.0) - 0.5).abs() < 1e-12 && (two_sided(0.0, 3.0) - 1.0).abs() < 1e-12
        );
    }

    proptest! {
        #[test]
        fn the_point_falls_with_the_degrees_of_freedom(
            freedom in 1.0..300.0_f64,
            more in 0.01..5.0_f64,
        ) {
            prop_assert!(t_975(freedom + more) < t_975(freedom));
        }
    }
}

//! The beta distribution, which points of binomial shares and of Student's t come down to.

/// Stirling's series is exact to the last digits from here on.
const FAR: f64 = 15.0;
/// Terms of the continued fraction; it needs about the square root of the larger parameter.
const MOST_TERMS: u32 = 20_000;

/// Logarithm of the gamma function of a positive number.
pub(crate) fn ln_gamma(mut x: f64) -> f64 {
    // brought out to where the series holds, by the recurrence
    let mut product = 1.0;
    while x < FAR {
        product *= x;
        x += 1.0;
    }
    let y = x.recip();
    let series = y / 12.0 - y.powi(3) / 360.0 + y.powi(5) / 1260.0 - y.powi(7) / 1680.0;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - product.ln()
}

/// The probability that a number of the beta distribution is at most `x`: the regularised
/// incomplete beta function, 26.5 of Abramowitz and Stegun. Parameters are positive; `x` is from 0
/// to 1.
pub(crate) fn beta_below(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // on this side of the mean the fraction converges fast
    if x <= (a + 1.0) / (a + b + 2.0) {
        part(x, 1.0 - x, a, b)
    } else {
        1.0 - part(1.0 - x, x, b, a)
    }
}

/// The point that a number of the beta distribution is below with this probability.
pub(crate) fn beta_quantile(probability: f64, a: f64, b: f64) -> f64 {
    let norm = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    let (mut low, mut high) = (0.0, 1.0);
    let mut x = a / (a + b);
    // Newton's method, and halving where it leaves what is known to hold the point.
    for _ in 0..100 {
        let beyond = beta_below(x, a, b) - probability;
        if beyond < 0.0 {
            low = x
        } else {
            high = x
        }
        let density = (norm + (a - 1.0) * x.ln() + (b - 1.0) * (-x).ln_1p()).exp();
        let next = x - beyond / density;
        let next = if next > low && next < high { next } else { 0.5 * (low + high) };
        if (next - x).abs() <= 1e-14 * x {
            return next;
        }
        x = next;
    }
    x
}

/// The continued fraction 26.5.8, from the front (Lentz, Applied Optics 15, 1976); `y` is `1 - x`.
fn part(x: f64, y: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let nonzero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * y.ln()).exp() / a;
    let (mut numerator, mut denominator) = (1.0, nonzero(1.0 - (a + b) * x / (a + 1.0)).recip());
    let mut fraction = denominator;
    for term in 1..MOST_TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for coefficient in [even, odd] {
            denominator = nonzero(1.0 + coefficient * denominator).recip();
            numerator = nonzero(1.0 + coefficient / numerator);
            change = numerator * denominator;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tailguard_tests::{cases, close_scaled, float, floats, list};

    #[test]
    fn golden_beta_distributions_and_their_points() {
        for case in list(&cases("metrics/intervals.json")["betas"]) {
            let [a, b, x, below] = ["a", "b", "x", "below"].map(|key| float(&case[key]));
            let gammas = floats(&case["ln_gamma"]);
            close_scaled(&[ln_gamma(a), ln_gamma(b)], &gammas, 1e-13, &case.to_string());
            // what cancels in the logarithms of the largest gamma functions
            let cancelled = 1e-13 * (1.0 + ln_gamma(a + b));
            let (found, off) = (beta_below(x, a, b), cancelled * below.min(1.0 - below));
            assert!((found - below).abs() < off + 1e-15, "{case}: {found}");
            let found = beta_quantile(below, a, b);
            assert!((found - x).abs() < 10.0 * cancelled * x, "{case}: {found}");
        }
    }

    #[test]
    fn gamma_has_factorials_and_the_root_of_pi() {
        for (x, expected) in [
            (1.0, 1.0),
            (2.0, 1.0),
            (5.0, 24.0),
            (0.5, std::f64::consts::PI.sqrt()),
            (11.0, 3_628_800.0),
        ] {
            assert!((ln_gamma(x) - f64::ln(expected)).abs() < 1e-13, "{x}");
        }
    }

    #[test]
    fn whole_parameters_are_sums_of_binomial_terms() {
        // P(beta(3, 5) <= x) is the chance of at least 3 of 7
        let at_least_three = |x: f64| {
            let chance = |ways: f64, k: i32| ways * x.powi(k) * (1.0 - x).powi(7 - k);
            1.0 - chance(1.0, 0) - chance(7.0, 1) - chance(21.0, 2)
        };
        for x in [0.05, 0.3, 0.375, 0.6, 0.9] {
            assert!((beta_below(x, 3.0, 5.0) - at_least_three(x)).abs() < 1e-13, "{x}");
        }
        // the law of the arc sine
        assert!((beta_below(0.25, 0.5, 0.5) - 1.0 / 3.0).abs() < 1e-13);
        assert!((beta_below(0.5, 2e5, 2e5) - 0.5).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_quantile_is_the_other_way_round(
            probability in 0.001..0.999_f64,
            a in 0.5..300.0_f64,
            b in 0.5..300.0_f64,
        ) {
            let x = beta_quantile(probability, a, b);
            prop_assert!((beta_below(x, a, b) - probability).abs() < 1e-9, "{}", x);
            prop_assert!((beta_quantile(1.0 - probability, b, a) - (1.0 - x)).abs() < 1e-9);
        }
    }
}

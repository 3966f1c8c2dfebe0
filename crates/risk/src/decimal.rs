//! Fractions in (0, 1] as the decimals that were written, so that counts round up exactly.
//!
//! In doubles 0.07 * 100 is a hair above 7, and its ceiling is 8. The shortest decimal that reads
//! back to a double is what a person wrote; whole numbers over a power of ten then give exact
//! products and ceilings.

/// Decimals after this place are not read; 10^19 times 2^64 still fits `u128`.
const PLACES: usize = 19;

/// A fraction `digits / scale` in (0, 1], where `scale` is a power of ten of at most 10^19.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) digits: u128,
    pub(crate) scale: u128,
}

impl Decimal {
    /// Reads a fraction; `None` outside (0, 1]. Anything below 10^-19 is taken as 10^-19.
    pub(crate) fn read(fraction: f64) -> Option<Self> {
        if !(fraction > 0.0 && fraction <= 1.0) {
            return None;
        }
        let written = fraction.to_string(); // shortest, without an exponent
        let (whole, places) = written.split_once('.').unwrap_or((&written, ""));
        let start = Self { digits: u128::from(whole == "1"), scale: 1 };
        let read = places.bytes().take(PLACES).fold(start, |read, byte| Self {
            digits: 10 * read.digits + u128::from(byte - b'0'),
            scale: 10 * read.scale,
        });
        Some(Self { digits: read.digits.max(1), ..read })
    }

    /// `ceil(self * count)`, exactly; at most `count`, and at least 1 unless `count` is 0.
    pub(crate) fn of(self, count: usize) -> usize {
        let product = (self.digits * count as u128).div_ceil(self.scale);
        usize::try_from(product).unwrap_or(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_read_as_written() {
        assert_eq!(Decimal::read(0.07), Some(Decimal { digits: 7, scale: 100 }));
        assert_eq!(Decimal::read(1.0), Some(Decimal { digits: 1, scale: 1 }));
        assert_eq!(Decimal::read(1e-300).map(|tiny| tiny.digits), Some(1));
        for outside in [0.0, -0.1, 1.0 + f64::EPSILON, f64::NAN, f64::INFINITY] {
            assert_eq!(Decimal::read(outside), None, "{outside}");
        }
    }

    #[test]
    fn seven_percent_of_a_hundred_are_seven() {
        let of = |fraction, count| Decimal::read(fraction).map(|decimal| decimal.of(count));
        assert_eq!(of(0.07, 100), Some(7));
        assert_eq!(of(0.55, 100), Some(55));
        assert_eq!(of(0.071, 100), Some(8));
        assert_eq!(of(1.0, usize::MAX), Some(usize::MAX));
        assert_eq!(of(1e-300, usize::MAX), Some(2));
        assert_eq!(of(0.3, 0), Some(0));
    }

    proptest! {
        #[test]
        fn percentages_round_up_as_whole_numbers_do(
            percent in 1_u32..=100,
            count in 0_usize..100_000,
        ) {
            let decimal = Decimal::read(f64::from(percent) / 100.0).unwrap();
            prop_assert_eq!(decimal.of(count), (percent as usize * count).div_ceil(100));
        }

        #[test]
        fn any_fraction_gives_a_count_in_range(
            fraction in f64::MIN_POSITIVE..=1.0,
            count in 1_usize..,
        ) {
            let kept = Decimal::read(fraction).unwrap().of(count);
            prop_assert!((1..=count).contains(&kept));
        }
    }
}

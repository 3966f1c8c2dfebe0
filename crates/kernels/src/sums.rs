//! Sums in independent lanes: they vectorise, round less than one running sum, and always in the
//! same order.

/// Partial sums: two vector registers of eight.
pub(crate) const LANES: usize = 16;

/// Sum of the lanes, in halves: added one after another, each addition would wait for the last.
#[inline(always)]
pub(crate) fn total(lanes: &[f32; LANES]) -> f32 {
    let mut sums = *lanes;
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    sums[0]
}

/// Sum of `f` over a row.
#[inline(always)]
pub(crate) fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f(x);
        }
    }
    total(&lanes) + rest.iter().map(|&x| f(x)).sum::<f32>()
}

/// Sum of the products of two rows.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane = a.mul_add(b, *lane);
        }
    }
    total(&lanes) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_length_are_summed_whole() {
        let row: Vec<f32> = (0u8..70).map(f32::from).collect();
        for length in 0..row.len() {
            let row = &row[..length];
            assert!((sum(row, |x| x) - row.iter().sum::<f32>()).abs() < 0.5, "{length}");
            assert!(
                (dot(row, row) - row.iter().map(|x| x * x).sum::<f32>()).abs() < 0.5,
                "{length}"
            );
        }
    }
}

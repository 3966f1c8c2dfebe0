//! Perplexity from token negative log-likelihoods.

use crate::{MetricsError, error::check_finite, moments::mean_of};

/// Perplexities of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Perplexity {
    /// The mean over the texts: the figure that papers report.
    pub mean: f64,
    /// One per text: exp of the mean negative log-likelihood of its tokens.
    pub per_text: Vec<f64>,
}

/// Perplexity per text, and its mean over the texts (section 4 of arXiv 2501.06911, as evaluate's
/// `perplexity`).
///
/// `nlls` holds one list per text with the negative log-likelihood of each scored token, in nats.
///
/// # Errors
/// [`MetricsError::TooFew`] for no texts; [`MetricsError::NoTokens`] for a text without scored
/// tokens; [`MetricsError::NotFinite`] for a bad token, and for a text so unlikely that its
/// perplexity is infinite.
///
/// # Example
/// ```
/// # use tailguard_metrics::perplexity;
/// let half = -0.5_f32.ln(); // each token had one chance in two
/// assert!((perplexity(&[vec![half; 3], vec![half]])?.mean - 2.0).abs() < 1e-6);
/// # Ok::<(), tailguard_metrics::MetricsError>(())
/// ```
pub fn perplexity<T: AsRef<[f32]>>(nlls: &[T]) -> Result<Perplexity, MetricsError> {
    if nlls.is_empty() {
        return Err(MetricsError::TooFew { what: "texts", needed: 1, found: 0 });
    }
    let of_text = |(index, nlls): (usize, &T)| {
        let nlls: Vec<f64> = nlls.as_ref().iter().copied().map(f64::from).collect();
        if nlls.is_empty() {
            return Err(MetricsError::NoTokens { index });
        }
        check_finite("negative log-likelihood of token", nlls.iter().copied())?;
        Ok(mean_of(&nlls).exp())
    };
    let per_text: Vec<f64> = nlls.iter().enumerate().map(of_text).collect::<Result<_, _>>()?;
    check_finite("perplexity of text", per_text.iter().copied())?;
    Ok(Perplexity { mean: mean_of(&per_text), per_text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn unusable_input_is_refused() {
        let none: [Vec<f32>; 0] = [];
        assert!(matches!(perplexity(&none), Err(MetricsError::TooFew { .. })));
        let message = perplexity(&[vec![1.0_f32], vec![]]).unwrap_err().to_string();
        assert_eq!(message, "text 1 has no scored tokens, expected at least one");
        assert!(matches!(
            perplexity(&[[0.0, f32::NAN]]),
            Err(MetricsError::NotFinite { index: 1, .. })
        ));
        let unlikely = perplexity(&[[1.0_f32], [1000.0]]).unwrap_err().to_string();
        assert_eq!(unlikely, "perplexity of text 1 is inf, expected a finite number");
    }

    proptest! {
        #[test]
        fn it_is_the_number_of_equally_likely_tokens(
            choices in 1_u16..5000,
            tokens in 1_usize..50,
        ) {
            let nlls = vec![f32::from(choices).ln(); tokens];
            let perplexity = perplexity(&[nlls]).unwrap().mean;
            prop_assert!((perplexity / f64::from(choices) - 1.0).abs() < 1e-5);
        }

        #[test]
        fn every_text_counts_alike(nlls in vec(vec(0.0_f32..9.0, 1..20), 1..20)) {
            let found = perplexity(&nlls).unwrap();
            prop_assert_eq!(found.per_text.len(), nlls.len());
            prop_assert!(found.per_text.iter().all(|&text| text >= 1.0));
            let mean = found.per_text.iter().sum::<f64>() / nlls.len() as f64;
            prop_assert!((found.mean - mean).abs() < 1e-9);
        }
    }
}

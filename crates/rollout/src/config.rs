//! How tokens are drawn: temperature, cuts, lengths and the end of a text.

use tailguard_lm::{LmSizes, TokenDistribution};

use crate::error::RolloutError;

/// What ends a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfText {
    /// This token ends the response and is its last token.
    Stop(u32),
    /// This token has probability 0, in sampling and in scoring: every response has
    /// `max_new_tokens` tokens.
    Mask(u32),
    /// No token is special: every response has `max_new_tokens` tokens.
    None,
}

/// Settings of sampling.
///
/// ```
/// use tailguard_rollout::{EndOfText, SamplingConfig};
///
/// let config = SamplingConfig {
///     max_new_tokens: 48,
///     end_of_text: EndOfText::Stop(50_256),
///     ..SamplingConfig::default()
/// };
/// assert!(config.validate().is_ok());
/// assert!(SamplingConfig { temperature: 0.0, ..config }.validate().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingConfig {
    /// Logits are divided by this; above 0.
    pub temperature: f32,
    /// Only the `top_k` most likely tokens (and those that tie with the last of them) are drawn; 0
    /// is off.
    pub top_k: usize,
    /// Only the most likely tokens that together reach this probability are drawn; in (0, 1], 1 is
    /// off.
    pub top_p: f32,
    /// Most tokens of a response; at least 1.
    pub max_new_tokens: usize,
    /// The end token is not drawn before this many other tokens; 0 is off.
    pub min_new_tokens: usize,
    /// What ends a response.
    pub end_of_text: EndOfText,
    /// Take the most likely token (the first of equals) and draw nothing.
    pub greedy: bool,
}

impl Default for SamplingConfig {
    /// The paper's sampling: temperature 1, no cuts, up to 48 tokens; no end token, for that is the
    /// tokenizer's to say.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            max_new_tokens: 48,
            min_new_tokens: 0,
            end_of_text: EndOfText::None,
            greedy: false,
        }
    }
}

impl SamplingConfig {
    /// The distribution that log-probabilities are taken from: temperature and a masked end token,
    /// before `top_k`, `top_p` and `min_new_tokens`, which restrict the draw alone.
    #[must_use]
    pub fn distribution(&self) -> TokenDistribution {
        let suppress = match self.end_of_text {
            EndOfText::Mask(id) => Some(id),
            EndOfText::Stop(_) | EndOfText::None => None,
        };
        TokenDistribution { temperature: self.temperature, suppress }
    }

    /// The token that may not be drawn as response token `position`: the end token, while the
    /// response is too short.
    pub(crate) fn forbidden(&self, position: usize) -> Option<u32> {
        match self.end_of_text {
            EndOfText::Stop(id) if position < self.min_new_tokens => Some(id),
            _ => None,
        }
    }

    /// Whether tokens are drawn from the whole distribution, which a GPU does by itself.
    pub(crate) fn is_plain(&self) -> bool {
        !self.greedy && self.top_k == 0 && self.top_p >= 1.0
    }

    /// Whether a response may end before it has `max_new_tokens`.
    pub(crate) fn may_stop(&self) -> bool {
        matches!(self.end_of_text, EndOfText::Stop(_))
    }

    /// Whether `token` ends a response.
    pub(crate) fn stops_at(&self, token: u32) -> bool {
        self.end_of_text == EndOfText::Stop(token)
    }

    /// Refuses settings outside their ranges.
    ///
    /// # Errors
    /// [`RolloutError::Setting`] names the setting, the value found and what is expected.
    pub fn validate(&self) -> Result<(), RolloutError> {
        check_cuts(self.temperature, self.top_p)?;
        if self.max_new_tokens == 0 {
            return refuse("max_new_tokens", self.max_new_tokens, "at least 1");
        }
        if self.min_new_tokens > self.max_new_tokens {
            return refuse("min_new_tokens", self.min_new_tokens, "at most max_new_tokens");
        }
        Ok(())
    }

    /// Refuses settings that do not suit this model.
    pub(crate) fn validate_for(&self, model: &LmSizes) -> Result<(), RolloutError> {
        self.validate()?;
        match self.end_of_text {
            EndOfText::Stop(id) | EndOfText::Mask(id) if !model.has(id) => {
                refuse("end_of_text", id, "a token id below the model's vocab_size")
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a temperature or a nucleus that makes no distribution.
pub(crate) fn check_cuts(temperature: f32, top_p: f32) -> Result<(), RolloutError> {
    // the reciprocal is what logits are multiplied with
    if !(temperature > 0.0 && temperature.is_finite() && temperature.recip().is_finite()) {
        return refuse(
            "temperature",
            temperature,
            "a finite number above 0 (greedy = true takes the most likely token)",
        );
    }
    if !(top_p > 0.0 && top_p <= 1.0) {
        return refuse("top_p", top_p, "a number in (0, 1]");
    }
    Ok(())
}

/// Refuses a batch size of 0.
pub(crate) fn check_batch_size(batch_size: usize) -> Result<(), RolloutError> {
    if batch_size == 0 { refuse("batch_size", batch_size, "at least 1") } else { Ok(()) }
}

/// Refuses no responses to a prompt.
pub(crate) fn check_responses(responses: usize) -> Result<(), RolloutError> {
    if responses == 0 { refuse("responses", responses, "at least 1") } else { Ok(()) }
}

fn refuse<T>(
    key: &'static str,
    found: impl ToString,
    expected: &'static str,
) -> Result<T, RolloutError> {
    Err(RolloutError::Setting { key, found: found.to_string(), expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: fn(&mut SamplingConfig)) -> String {
        let mut config =
            SamplingConfig { end_of_text: EndOfText::Stop(7), ..SamplingConfig::default() };
        change(&mut config);
        config
            .validate_for(&LmSizes { vocab_size: 10, context: 8, hidden: 4 })
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn settings_outside_their_range_are_refused_by_name() {
        for temperature in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-40] {
            let config = SamplingConfig { temperature, ..SamplingConfig::default() };
            assert!(
                config.validate().unwrap_err().to_string().contains("temperature is"),
                "{temperature}"
            );
        }
        assert!(refused(|c| c.top_p = 0.0).contains("top_p is 0"));
        assert!(refused(|c| c.top_p = 1.5).contains("top_p is 1.5"));
        assert!(refused(|c| c.top_p = f32::NAN).contains("top_p is NaN"));
        assert!(refused(|c| c.max_new_tokens = 0).contains("max_new_tokens is 0"));
        assert!(
            refused(|c| c.min_new_tokens = 49)
                .contains("min_new_tokens is 49, expected at most max_new_tokens")
        );
        assert!(refused(|c| c.end_of_text = EndOfText::Mask(10)).contains("end_of_text is 10"));
    }

    #[test]
    fn only_a_masked_end_token_is_suppressed_in_scoring() {
        let suppressed = |end_of_text| {
            SamplingConfig { end_of_text, ..SamplingConfig::default() }.distribution().suppress
        };
        assert_eq!(suppressed(EndOfText::Mask(3)), Some(3));
        assert_eq!(suppressed(EndOfText::Stop(3)), None);
        assert_eq!(suppressed(EndOfText::None), None);
    }

    #[test]
    fn the_end_token_is_forbidden_for_exactly_the_first_min_new_tokens() {
        let config = SamplingConfig {
            min_new_tokens: 2,
            end_of_text: EndOfText::Stop(3),
            ..SamplingConfig::default()
        };
        assert_eq!(
            [0, 1, 2, 3].map(|position| config.forbidden(position)),
            [Some(3), Some(3), None, None]
        );
    }
}

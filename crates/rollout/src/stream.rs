//! One response, token by token, as it is drawn.

use std::ops::ControlFlow;

use tailguard_lm::{CausalLm, Decoder, TokenBatch};
use tokenizers::Tokenizer;

use crate::config::SamplingConfig;
use crate::draws::DrawSeed;
use crate::engine::{check_device, check_length, check_tokens, host};
use crate::error::RolloutError;
use crate::prompt::{Prompt, decode};
use crate::sampler::draw;
use crate::softmax::Scratch;

/// Samples one response and hands over each token as soon as it is drawn, until `each` breaks off;
/// gives the tokens.
///
/// The tokens are those that [`generate`](crate::generate) draws for episode 0 of the same prompt,
/// settings and `draws`.
///
/// # Errors
/// As [`generate`](crate::generate).
///
/// ```
/// # use burn::tensor::Device;
/// # use std::ops::ControlFlow;
/// # use tailguard_gpt2::Gpt2Config;
/// use tailguard_rollout::{DrawSeed, Prompt, SamplingConfig, stream};
/// let model = Gpt2Config::new(50, 16, 8, 2, 2).init(1, &Device::flex())?;
/// let prompt = Prompt { ids: vec![3, 1, 4], text: "abc".into() };
/// let config = SamplingConfig { max_new_tokens: 6, ..SamplingConfig::default() };
/// let mut seen = Vec::new();
/// let ids = stream(&model, &prompt, &config, DrawSeed { seed: 7, stream: 0 }, &mut |id| {
///     seen.push(id);
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(ids, seen);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn stream<M: CausalLm>(
    model: &M,
    prompt: &Prompt,
    config: &SamplingConfig,
    draws: DrawSeed,
    each: &mut dyn FnMut(u32) -> ControlFlow<()>,
) -> Result<Vec<u32>, RolloutError> {
    let (sizes, device) = (model.sizes(), model.device());
    config.validate_for(&sizes)?;
    check_device(&device)?;
    if prompt.ids.is_empty() {
        return Err(RolloutError::EmptyPrompt { row: 0 });
    }
    check_tokens(&sizes, 0, &prompt.ids)?;
    check_length(&sizes, 0, prompt.ids.len(), config.max_new_tokens)?;
    let batch = TokenBatch::left_padded(&[&prompt.ids], 0, &device)?;
    let (mut uniforms, mut scratch) = (draws.uniforms(0), Scratch::default());
    let decoder = model.decoder();
    let mut cache = decoder.cache(1, prompt.ids.len() + config.max_new_tokens);
    let mut hidden = decoder.prefill(&batch, &mut cache)?;
    let mut ids = Vec::new();
    for position in 0..config.max_new_tokens {
        let logits = host(decoder.logits(hidden), "logits")?;
        let drawn = draw(&logits, config, position, uniforms.draw(), &mut scratch);
        let token =
            drawn.ok_or(RolloutError::NotFinite { what: "logits", row: 0, position })?.token;
        ids.push(token);
        if each(token).is_break() || config.stops_at(token) || position + 1 == config.max_new_tokens
        {
            break;
        }
        hidden = decoder.step(&[token], &mut cache)?;
    }
    Ok(ids)
}

/// Turns tokens into text, one by one: a token of a byte-level tokenizer may hold a part of a
/// character, which is held back until the character is whole.
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    /// Bytes of the text that have been handed out.
    told: usize,
}

/// What a part of a character decodes to.
const BROKEN: char = '\u{fffd}';

impl<'a> TextStream<'a> {
    /// No token yet.
    #[must_use]
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, ids: Vec::new(), told: 0 }
    }

    /// The text that one more token brings: nothing where it ends within a character, or is
    /// special.
    ///
    /// # Errors
    /// [`RolloutError::Tokenizer`] if the tokenizer refuses the token.
    pub fn push(&mut self, id: u32) -> Result<String, RolloutError> {
        self.ids.push(id);
        let text = decode(self.tokenizer, 0, &self.ids, true)?;
        // what stands at the end may become a character yet, and what stands before it may not
        Ok(self.tell(&text, text.trim_end_matches(BROKEN).len()))
    }

    /// The text that was held back, as no token is to follow: a character that never became whole
    /// is U+FFFD.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self) -> Result<String, RolloutError> {
        let text = decode(self.tokenizer, 0, &self.ids, true)?;
        Ok(self.tell(&text, text.len()))
    }

    fn tell(&mut self, text: &str, end: usize) -> String {
        let new = text.get(self.told..end).unwrap_or_default().to_owned();
        self.told = self.told.max(end);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EndOfText;
    use crate::engine::generate;
    use crate::fixtures::{SEED, model, prompts, sampling};
    use tailguard_tests::golden;

    fn streamed(prompt: &Prompt, config: &SamplingConfig, most: usize) -> (Vec<u32>, Vec<u32>) {
        let mut seen = Vec::new();
        let ids = stream(&model(1), prompt, config, SEED, &mut |id| {
            seen.push(id);
            if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (ids.unwrap(), seen)
    }

    #[test]
    fn the_tokens_are_those_of_generate() {
        let prompts = prompts(&[5]);
        let free = generate(&model(1), None, &prompts, &sampling(9), SEED, 4).unwrap();
        let stop =
            SamplingConfig { end_of_text: EndOfText::Stop(free[0].response_ids[4]), ..sampling(9) };
        for config in
            [sampling(9), stop, SamplingConfig { temperature: 0.5, top_k: 7, ..sampling(9) }]
        {
            let whole = generate(&model(1), None, &prompts, &config, SEED, 4).unwrap();
            let (ids, seen) = streamed(&prompts[0], &config, usize::MAX);
            assert_eq!((&ids, &seen), (&whole[0].response_ids, &whole[0].response_ids));
        }
    }

    #[test]
    fn whoever_breaks_off_gets_no_more() {
        let (ids, seen) = streamed(&prompts(&[5])[0], &sampling(9), 3);
        assert_eq!((ids.len(), seen.len()), (3, 3));
    }

    #[test]
    fn what_cannot_be_sampled_is_refused() {
        let mut never = |_| panic!("nothing is drawn");
        let too_long =
            stream(&model(1), &prompts(&[20])[0], &sampling(5), SEED, &mut never).unwrap_err();
        assert!(too_long.to_string().contains("do not fit the context of 24 tokens"), "{too_long}");
        let empty = Prompt { ids: vec![], text: String::new() };
        let refused = stream(&model(1), &empty, &sampling(5), SEED, &mut never).unwrap_err();
        assert!(matches!(refused, RolloutError::EmptyPrompt { row: 0 }));
    }

    #[test]
    fn characters_come_whole_and_the_parts_make_the_text() {
        let tokenizer = Tokenizer::from_file(golden("tokenizer/tokenizer.json")).unwrap();
        for text in ["naïve café 🙂🙂 日本", "plain", " a\u{fffd}b"] {
            let ids = tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec();
            let mut stream = TextStream::new(&tokenizer);
            let parts: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
            assert!(
                text.contains(BROKEN) || parts.iter().all(|part| !part.contains(BROKEN)),
                "{parts:?}"
            );
            assert_eq!(parts.concat() + &stream.finish().unwrap(), text);
        }
        // the first token of a character alone
        let ids = tokenizer.encode_fast("🙂", false).unwrap().get_ids().to_vec();
        assert!(ids.len() > 1, "the tokenizer has no such character");
        let mut stream = TextStream::new(&tokenizer);
        assert_eq!(stream.push(ids[0]).unwrap(), "");
        assert!(stream.finish().unwrap().starts_with(BROKEN));
    }
}

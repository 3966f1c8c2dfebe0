//! Models that control tokens steer.

use burn::tensor::Tensor;

use crate::error::LmError;
use crate::model::CausalLm;
use crate::tokens::Predictions;

/// A language model with control tokens: each stands in front of a text and says what kind of text
/// is wanted (Keskar et al., 2019; Lu et al., 2022). They are read and never drawn: the vocabulary
/// that a text is made of, and all distributions are over, is what it was without them.
pub trait Steerable: CausalLm {
    /// How many control tokens there are.
    fn control_tokens(&self) -> usize;

    /// The model with these control tokens, in the place of those that it had; none of them stands
    /// in front of a text yet.
    ///
    /// # Shapes
    /// `[tokens, hidden]`, as rows of the token embedding.
    #[must_use]
    fn with_control_tokens(self, rows: Tensor<2>) -> Self;

    /// The model of texts behind one of the control tokens, counted from 0: whatever it samples or
    /// scores, that token stands in front, and takes one position of the context. With none, texts
    /// are as they are.
    ///
    /// # Errors
    /// [`LmError::NoControlToken`].
    fn under(self, token: Option<usize>) -> Result<Self, LmError>;

    /// [`CausalLm::predicting`] behind the control token of each row, whatever token stands in
    /// front otherwise.
    ///
    /// # Errors
    /// As there; [`LmError::NoControlToken`], [`LmError::Count`] unless there is one token for each
    /// row.
    fn predicting_under(&self, batch: &Predictions, tokens: &[usize])
    -> Result<Tensor<2>, LmError>;

    /// Rows of the token embedding, control tokens left out, `[vocab, hidden]`.
    fn embedding(&self) -> Tensor<2>;

    /// Raw next-token logits, differentiable; control tokens have none.
    ///
    /// # Shapes
    /// `[n, hidden]` to `[n, vocab]`.
    fn logits(&self, hidden: Tensor<2>) -> Tensor<2>;
}

//! What is told of a training while it goes on.

use std::fmt;

/// Something that has happened. Shown, it is one line for people.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The texts of a language model are read.
    LmTexts {
        /// Tokens to learn from.
        tokens: usize,
        /// Beginnings of texts to measure on.
        windows: usize,
    },
    /// The texts of a classifier are read, and it has a tokenizer.
    ClassifierTexts {
        /// Texts to learn from.
        texts: usize,
        /// Their tokens.
        tokens: usize,
        /// Entries of the vocabulary.
        vocabulary: usize,
    },
    /// The texts of a judge are counted.
    JudgeTexts {
        /// Texts to learn from.
        texts: usize,
        /// Those of label 1.
        ones: usize,
    },
    /// The training of a language model goes on from a checkpoint.
    GoingOnAfterStep {
        /// Steps done.
        step: u64,
    },
    /// The training of a classifier goes on from a checkpoint.
    GoingOnAfterEpoch {
        /// Epochs done.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
    },
    /// Fifty steps of a language model are done.
    LmStep {
        /// Steps done.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Mean loss of about the last fifty steps.
        loss: f64,
        /// Learning rate of the last one.
        rate: f64,
        /// Tokens a second since this call began.
        tokens_per_s: f64,
    },
    /// Fifty steps of a classifier are done.
    ClassifierStep {
        /// The epoch, from 1.
        epoch: usize,
        /// Steps done in it.
        step: usize,
        /// Its steps in all.
        steps: usize,
        /// Mean loss of the epoch so far.
        loss: f64,
        /// Seconds of the epoch so far.
        seconds: f64,
    },
    /// A checkpoint of a language model is about to be written.
    LmMeasured {
        /// Steps done.
        step: u64,
        /// Perplexity of some of the texts to measure on.
        perplexity: f64,
        /// Tokens of each that were read.
        context: usize,
    },
    /// An epoch of a classifier is done, and the model is written.
    Epoch {
        /// Epochs done.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
        /// Mean loss of this one.
        loss: f64,
        /// Share of the texts to measure on that it gets right from their first tokens.
        accuracy: f64,
        /// So many of them.
        tokens: usize,
    },
    /// A language model has learned all that it shall.
    LmPerplexity {
        /// Perplexity of the texts to measure on.
        perplexity: f64,
        /// How many there are.
        windows: usize,
    },
    /// A classifier was measured.
    ClassifierAccuracy {
        /// Tokens of each text that it reads.
        tokens: usize,
        /// Texts to measure on.
        texts: usize,
        /// Share of them that it gets right.
        accuracy: f64,
    },
    /// A judge was measured on the texts that it has learned from.
    JudgeOfTrained {
        /// Share of them that it gets right.
        accuracy: f64,
        /// Area under the curve of its score.
        auc: f64,
    },
    /// A judge was measured.
    JudgeOfTest {
        /// Share of the texts that it gets right.
        accuracy: f64,
        /// Area under the curve of its score.
        auc: f64,
        /// Characters of each text that it reads; none reads all.
        characters: Option<usize>,
        /// Texts to measure on.
        texts: usize,
    },
    /// Texts that are there were looked through for prompts.
    Added {
        /// Those that are fit.
        fit: usize,
        /// All of them.
        texts: usize,
        /// How full the tables are.
        filled: String,
    },
    /// A round of prompts was drawn.
    Drawn {
        /// Texts of all rounds.
        texts: usize,
        /// Those of the last round that are fit.
        fit: usize,
        /// Texts of a round.
        round: usize,
        /// How full the tables are.
        filled: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LmTexts { tokens, windows } => {
                write!(f, "{tokens} training tokens, {windows} held-out windows")
            }
            Self::ClassifierTexts { texts, tokens, vocabulary } => {
                write!(f, "{texts} training texts, {tokens} tokens, vocabulary of {vocabulary}")
            }
            Self::JudgeTexts { texts, ones } => {
                write!(f, "{texts} training texts, {ones} of label 1")
            }
            Self::GoingOnAfterStep { step } => write!(f, "going on after step {step}"),
            Self::GoingOnAfterEpoch { epoch, epochs } => {
                write!(f, "going on after epoch {epoch} of {epochs}")
            }
            Self::LmStep { step, steps, loss, rate, tokens_per_s } => {
                write!(
                    f,
                    "step {step}/{steps}  loss {loss:.3}  rate {rate:.2e}  {tokens_per_s:.0} \
                     tokens/s"
                )
            }
            Self::ClassifierStep { epoch, step, steps, loss, seconds } => {
                write!(f, "epoch {epoch}  step {step}/{steps}  loss {loss:.4}  {seconds:.0} s")
            }
            Self::LmMeasured { step, perplexity, context } => {
                write!(
                    f,
                    "step {step}: held-out perplexity {perplexity:.2} on the first {context} tokens"
                )
            }
            Self::Epoch { epoch, epochs, loss, accuracy, tokens } => {
                write!(
                    f,
                    "epoch {epoch}/{epochs}  loss {loss:.4}  accuracy on the first {tokens} \
                     tokens {accuracy:.4}"
                )
            }
            Self::LmPerplexity { perplexity, windows } => {
                write!(f, "held-out perplexity {perplexity:.3} on {windows} windows")
            }
            Self::ClassifierAccuracy { tokens, texts, accuracy } => {
                write!(
                    f,
                    "accuracy on the first {tokens} tokens of {texts} held-out texts: {accuracy:.4}"
                )
            }
            Self::JudgeOfTrained { accuracy, auc } => {
                write!(f, "on the training texts: accuracy {accuracy:.4}, AUC {auc:.4}")
            }
            Self::JudgeOfTest { accuracy, auc, characters, texts } => {
                write!(f, "accuracy {accuracy:.4}, AUC {auc:.4}")?;
                if let Some(characters) = characters {
                    write!(f, " on the first {characters} characters")?;
                }
                write!(f, " of {texts} test texts")
            }
            Self::Added { fit, texts, filled } => {
                write!(f, "{fit} of {texts} added texts are fit; {filled}")
            }
            Self::Drawn { texts, fit, round, filled } => {
                write!(f, "{texts} texts drawn, {fit} of the last {round} are fit; {filled}")
            }
        }
    }
}

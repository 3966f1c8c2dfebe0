//! What can be wrong with a model directory.

use std::path::{Path, PathBuf};

/// Errors of reading and writing Hugging Face directories. Each names the file and, where there is one, the tensor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is no such directory, or it is a file.
    #[error("{path} is not a directory, expected a Hugging Face model directory")]
    NotADirectory {
        /// The path given.
        path: PathBuf,
    },
    /// A file of the directory is missing.
    #[error("{path} is missing, expected {expected}")]
    MissingFile {
        /// The file looked for.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `read`, `write`, ..
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A JSON file does not hold what it should.
    #[error("{path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Key, line and column.
        source: serde_json::Error,
    },
    /// A safetensors file is cut short or damaged.
    #[error("{path} is no whole safetensors file: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor is not in the file.
    #[error("{path} has no tensor {name} (expected with shape {expected:?})")]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// The shape that the model needs.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the model.
    #[error("{path}: {name} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape that the model needs.
        expected: Vec<usize>,
    },
    /// A tensor's element type is none that weights have.
    #[error("{path}: {name} has type {found}, expected F32, F16 or BF16")]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// The type in the file.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error("{path}: {name} holds {value} at element {index}, expected finite weights")]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// Index into the flattened tensor.
        index: usize,
        /// The value found.
        value: f32,
    },
    /// The file holds tensors that the model does not have.
    #[error("{path} holds {count} tensors that this model does not have: {names}")]
    UnknownTensors {
        /// The file.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// The first of them.
        names: String,
    },
}

impl CheckpointError {
    /// For `map_err`: an input-output error with the file it happened at.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

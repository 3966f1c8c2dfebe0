//! What can go wrong with a checkpoint.

use std::io;
use std::path::{Path, PathBuf};

use tailguard_files::FileError;

/// Errors of reading and writing model directories. Each names the file, and the tensor if there is
/// one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The model directory does not exist, or is something else.
    #[error(
        "{}: expected a Hugging Face model directory with config.json, found {found}",
        path.display()
    )]
    NotADirectory {
        /// The path asked for.
        path: PathBuf,
        /// `"nothing"` or `"a file"`.
        found: &'static str,
    },
    /// A model directory lacks a file.
    #[error(
        "{}: {file} is missing, expected a Hugging Face model directory that holds it",
        path.display()
    )]
    MissingFile {
        /// The directory.
        path: PathBuf,
        /// The file's name.
        file: &'static str,
    },
    /// A model directory that holds something else in place of a file, which can be made of that.
    #[error("{}: {file} is missing, and there is {found}; to make it: {command}", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The missing file's name.
        file: &'static str,
        /// What is there instead.
        found: String,
        /// The command that makes the directory loadable.
        command: String,
    },
    /// A pointer that Git LFS or the like puts in place of a large file.
    #[error(
        "{}: a pointer of Git LFS and not the file itself; to fetch it: git -C {} lfs pull",
        path.display(), parent(path)
    )]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// Files of weights that an index names and that are not there.
    #[error(
        "{}: names {} that {} not beside it: {}",
        path.display(),
        plural(files.len(), "file"),
        if files.len() == 1 { "is" } else { "are" },
        listed(files)
    )]
    MissingShard {
        /// The index.
        path: PathBuf,
        /// Their names.
        files: Vec<String>,
    },
    /// A tensor that is not in the file where the index says.
    #[error("{}: {name} should be in {file}, which does not hold it", path.display())]
    NotInShard {
        /// The index.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The file that the index names.
        file: String,
    },
    /// A tensor that two files of the same model hold.
    #[error("{}: {name} is also in {}", other.display(), path.display())]
    InTwoFiles {
        /// The later file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The earlier file.
        other: PathBuf,
    },
    /// A `tokenizer.json` that cannot be used.
    #[error("{}: cannot be used as a tokenizer", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The tokenizer's reason.
        source: tokenizers::Error,
    },
    /// A tokenizer that knows tokens that the model does not.
    #[error(
        "{}: {} beyond the model's vocabulary of {vocab_size} embeddings (ids 0 to {}): {}; \
         expected the tokenizer of this model, or a model whose embeddings were resized to it",
        path.display(), plural(tokens.len(), "token"), vocab_size.saturating_sub(1), listed(tokens)
    )]
    Vocabulary {
        /// The tokenizer's file.
        path: PathBuf,
        /// The tokens without an embedding, each with its id.
        tokens: Vec<String>,
        /// The model's number of embeddings.
        vocab_size: usize,
    },
    /// The operating system refused.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried: `"read"`, `"write"`, ...
        action: &'static str,
        /// Its reason.
        source: io::Error,
    },
    /// A file that has changed since it was written.
    #[error(
        "{}: it is not as it was written: its digest is another than {} says",
        path.display(), list.display()
    )]
    Altered {
        /// The file.
        path: PathBuf,
        /// The list of digests.
        list: PathBuf,
    },
    /// A list of digests that is none.
    #[error("{}: {detail}, expected digests as sha256sum writes them", path.display())]
    Sums {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A JSON file that is not JSON, or does not say what the caller needs.
    #[error("{}: not the JSON that was expected", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A safetensors file that is shorter or longer than its own header says.
    #[error(
        "{}: {found} bytes, expected {expected}: the file was cut short or is not a safetensors \
         file",
        path.display()
    )]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The size in bytes that the header asks for.
        expected: u64,
    },
    /// A header too large to be one.
    #[error(
        "{}: the header claims {found} bytes, expected at most {limit}: this is not a safetensors \
         file",
        path.display()
    )]
    HeaderSize {
        /// The file.
        path: PathBuf,
        /// The size that the first eight bytes claim.
        found: u64,
        /// The largest accepted.
        limit: u64,
    },
    /// A header that is not UTF-8.
    #[error("{}: the safetensors header is not UTF-8", path.display())]
    HeaderText {
        /// The file.
        path: PathBuf,
        /// Where.
        source: std::str::Utf8Error,
    },
    /// A tensor whose place in the file makes no sense.
    #[error(
        "{}: {name} lies at bytes {found:?} of the data, expected {expected:?}",
        path.display()
    )]
    Offsets {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Begin and end in the header.
        found: [u64; 2],
        /// Begin after the tensor before it, and end by its shape and type.
        expected: [u64; 2],
    },
    /// A tensor with more elements than can be counted.
    #[error("{}: {name} has shape {shape:?}, expected one that fits into memory", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape in the header.
        shape: Vec<usize>,
    },
    /// Tensors that the model needs and the file lacks.
    #[error(
        "{}: {name} is missing, expected a tensor of shape {expected:?}{}",
        path.display(), and_others(others)
    )]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The first of them.
        name: String,
        /// The shape asked for.
        expected: Vec<usize>,
        /// The names of the others.
        others: Vec<String>,
    },
    /// A tensor of the wrong shape.
    #[error("{}: {name} has shape {found:?}, expected {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape asked for.
        expected: Vec<usize>,
    },
    /// A tensor of a type that holds no weights.
    #[error("{}: {name} has type {found}, expected F32, F16 or BF16", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The type in the file.
        found: String,
    },
    /// A weight that is infinite or not a number, in the type that the file has.
    #[error("{}: {name} holds {found} at element {index}, expected finite numbers", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Index into the flattened tensor.
        index: usize,
        /// The value.
        found: f32,
    },
    /// Tensors that the model does not have.
    #[error(
        "{}: {} that the model does not have: {}",
        path.display(), plural(names.len(), "tensor"), listed(names)
    )]
    Unused {
        /// The file.
        path: PathBuf,
        /// Their names, sorted.
        names: Vec<String>,
    },
    /// Two tensors for one name.
    #[error("{}: {name} was given twice, expected each name once", path.display())]
    Duplicate {
        /// The file to be written.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A tensor that is not single precision, or that the device did not give back.
    #[error("{}: {name} cannot be read from the device as f32 ({reason})", path.display())]
    Unreadable {
        /// The file to be written.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The device's words.
        reason: String,
    },
}

impl CheckpointError {
    /// For `map_err`: an [`io::Error`] with the file and what was tried.
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}

impl From<FileError> for CheckpointError {
    fn from(FileError { path, action, source, .. }: FileError) -> Self {
        Self::Io { path, action, source }
    }
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("a {what}") } else { format!("{count} {what}s") }
}

/// The directory that a file lies in.
fn parent(path: &Path) -> std::path::Display<'_> {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .display()
}

fn and_others(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!("; so {} {}", are(names.len()), listed(names))
    }
}

fn are(count: usize) -> String {
    if count == 1 { "is".to_owned() } else { format!("are {count} others:") }
}

/// The first names, and how many more there are: a wrong architecture leaves hundreds over.
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

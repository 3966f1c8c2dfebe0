//! What other tools leave in place of the files that are read here, and the command that makes
//! these of it.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::names::{CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE};

/// How a pointer of Git LFS begins; as the length of a header it would be far too large.
const LFS: &[u8] = b"version ";
/// Settings of a PEFT adapter.
const ADAPTER: &str = "adapter_config.json";
/// Weights of other kinds, by the beginning of their names: what they are, and what
/// `from_pretrained` has to be told of them.
const OTHER_WEIGHTS: &[(&str, &str, &str)] = &[
    ("pytorch_model", "PyTorch weights", ""),
    ("tf_model", "TensorFlow weights", ", from_tf=True"),
    ("flax_model", "Flax weights", ", from_flax=True"),
];
/// Files of tokenizers that are not `tokenizer.json`.
const OTHER_TOKENIZERS: &[&str] = &[
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
];

/// Whether a file is a pointer of Git LFS, by its first bytes.
pub(crate) fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(LFS)
}

/// What a directory has in place of a file that is missing, and the command that makes it loadable;
/// nothing if there is nothing known.
pub(crate) fn found_instead(dir: &Path, file: &str) -> Option<(String, String)> {
    let quoted = |dir: &Path| format!("{:?}", dir.display().to_string());
    let here = quoted(dir);
    if file != TOKENIZER_FILE && dir.join(ADAPTER).is_file() {
        let mut merged = dir.as_os_str().to_owned();
        merged.push("-merged");
        let merged = quoted(Path::new(&merged));
        let found = format!(
            "a PEFT adapter ({ADAPTER}), which is no model without the one that it was trained \
             on{}",
            base(dir)
        );
        let code = format!(
            "from peft import AutoPeftModelForCausalLM as M; from transformers import \
             AutoTokenizer as T; \
             M.from_pretrained({here}).merge_and_unload().save_pretrained({merged}); \
             T.from_pretrained({here}).save_pretrained({merged})"
        );
        return Some((found, python(&code)));
    }
    match file {
        WEIGHTS_FILE => {
            let names = names(dir);
            let (name, kind, options) =
                OTHER_WEIGHTS.iter().find_map(|(beginning, kind, options)| {
                    names
                        .iter()
                        .find(|name| name.starts_with(beginning))
                        .map(|name| (name, kind, options))
                })?;
            let code = format!(
                "from transformers import {} as M; \
                 M.from_pretrained({here}{options}).save_pretrained({here}, \
                 safe_serialization=True)",
                class(dir)
            );
            Some((format!("{kind} ({name})"), python(&code)))
        }
        TOKENIZER_FILE => {
            let found: Vec<&str> =
                OTHER_TOKENIZERS.iter().copied().filter(|name| dir.join(name).is_file()).collect();
            let code = format!(
                "from transformers import AutoTokenizer as T; \
                 T.from_pretrained({here}).save_pretrained({here})"
            );
            (!found.is_empty()).then(|| {
                (format!("a tokenizer of another format ({})", found.join(", ")), python(&code))
            })
        }
        _ => None,
    }
}

fn python(code: &str) -> String {
    format!("python -c '{}'", code.replace('\'', r"'\''"))
}

/// The names in a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The class of transformers that `config.json` names, or the one for language models.
fn class(dir: &Path) -> String {
    #[derive(Deserialize)]
    struct View {
        architectures: Vec<String>,
    }
    let view = fs::read(dir.join(CONFIG_FILE))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<View>(&bytes).ok());
    let is_name = |name: &String| {
        name.chars().all(|letter| letter.is_ascii_alphanumeric()) && !name.is_empty()
    };
    let named = view.and_then(|view| view.architectures.into_iter().next()).filter(is_name);
    named.unwrap_or_else(|| "AutoModelForCausalLM".to_owned())
}

/// The model that an adapter was trained on, if its settings say so.
fn base(dir: &Path) -> String {
    #[derive(Deserialize)]
    struct View {
        base_model_name_or_path: String,
    }
    let view = fs::read(dir.join(ADAPTER))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<View>(&bytes).ok());
    view.map(|view| format!(", {:?}", view.base_model_name_or_path)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CheckpointError, ModelDir};

    /// What is said of a directory with these files, as its configuration, weights and tokenizer
    /// are read in turn.
    fn refused(files: &[(&str, &str)]) -> String {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(home.path().join(name), text).unwrap();
        }
        let read = || {
            let dir = ModelDir::open(home.path())?;
            dir.config::<serde_json::Value>()?;
            dir.tokenizer(1)?;
            dir.weights()
        };
        read().unwrap_err().to_string().replace(&home.path().display().to_string(), "DIR")
    }

    const CONFIG: (&str, &str) = (CONFIG_FILE, r#"{"architectures": ["GPT2LMHeadModel"]}"#);
    const TOKENIZER: (&str, &str) = (
        TOKENIZER_FILE,
        r#"{"version": "1.0",
            "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#,
    );
    const POINTER: &str =
        "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 548105171\n";

    /// Files of a directory with their texts, and what must be said of them.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

    #[test]
    fn what_is_there_instead_is_named_with_the_command_that_helps() {
        let cases: [Case<'_>; 8] = [
            (
                &[(ADAPTER, r#"{"base_model_name_or_path": "gpt2"}"#)],
                &[
                    "config.json is missing, and there is a PEFT adapter",
                    "trained on, \"gpt2\"",
                    "merge_and_unload",
                    "\"DIR-merged\"",
                ],
            ),
            (
                &[CONFIG, TOKENIZER, (ADAPTER, "")],
                &["model.safetensors is missing, and there is a PEFT adapter", "merge_and_unload"],
            ),
            (
                &[CONFIG, TOKENIZER, ("training_args.bin", ""), ("pytorch_model.bin", "")],
                &[
                    "PyTorch weights (pytorch_model.bin)",
                    "import GPT2LMHeadModel",
                    "safe_serialization=True",
                ],
            ),
            (
                &[(CONFIG_FILE, "{}"), TOKENIZER, ("tf_model.h5", "")],
                &["TensorFlow weights", "AutoModelForCausalLM", "from_tf=True"],
            ),
            (
                &[CONFIG, ("vocab.json", "{}"), ("merges.txt", "")],
                &[
                    "tokenizer.json is missing",
                    "(vocab.json, merges.txt)",
                    "AutoTokenizer",
                    ".save_pretrained(\"DIR\")",
                ],
            ),
            (&[CONFIG, ("vocab.txt", "")], &["(vocab.txt)", "AutoTokenizer"]),
            (
                &[CONFIG, TOKENIZER, (WEIGHTS_FILE, POINTER)],
                &["model.safetensors: a pointer of Git LFS", "git -C DIR lfs pull"],
            ),
            (&[CONFIG, (TOKENIZER_FILE, POINTER)], &["tokenizer.json: a pointer of Git LFS"]),
        ];
        for (files, words) in cases {
            let message = refused(files);
            for word in words {
                assert!(message.contains(word), "no {word:?} in: {message}");
            }
        }
        assert!(refused(&[(CONFIG_FILE, POINTER)]).contains("config.json: a pointer of Git LFS"));
    }

    #[test]
    fn a_command_survives_a_quote_in_a_path() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("it's");
        fs::create_dir(&dir).unwrap();
        for (name, text) in [CONFIG, ("vocab.txt", "")] {
            fs::write(dir.join(name), text).unwrap();
        }
        let error = ModelDir::open(&dir).unwrap().tokenizer_path().unwrap_err();
        assert!(
            matches!(
                &error,
                CheckpointError::Foreign { command, .. } if command.contains(r"it'\''s")
            ),
            "{error}"
        );
    }
}

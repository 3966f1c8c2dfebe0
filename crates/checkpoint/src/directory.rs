//! A Hugging Face model directory: where its files are.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tailguard_files::write_file;
use tokenizers::Tokenizer;

use crate::error::CheckpointError;
use crate::foreign;
use crate::names::{
    CONFIG_FILE, GENERATION_CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE,
};
use crate::shards;
use crate::weights::Weights;

/// A directory with `config.json`, `model.safetensors`, or an index and several such files, and
/// perhaps `tokenizer.json`.
#[derive(Debug, Clone)]
pub struct ModelDir {
    path: PathBuf,
}

impl ModelDir {
    /// A model directory that is there and holds `config.json`; the other files are looked for when
    /// they are needed.
    ///
    /// # Errors
    /// If there is no such directory, or no `config.json` in it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, CheckpointError> {
        let dir = Self { path: path.into() };
        if !dir.path.is_dir() {
            let found = if dir.path.exists() { "a file" } else { "nothing" };
            return Err(CheckpointError::NotADirectory { path: dir.path, found });
        }
        dir.file(CONFIG_FILE)?;
        Ok(dir)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads `config.json`.
    ///
    /// # Errors
    /// A file that cannot be read, is not JSON, or lacks what `T` needs.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, CheckpointError> {
        let path = self.file(CONFIG_FILE)?;
        let bytes = fs::read(&path).map_err(CheckpointError::io(&path, "read"))?;
        if foreign::is_lfs_pointer(&bytes) {
            return Err(CheckpointError::LfsPointer { path });
        }
        serde_json::from_slice(&bytes).map_err(|source| CheckpointError::Json { path, source })
    }

    /// Opens `model.safetensors`, or the files that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// A file that is missing or damaged; see [`Weights::open`] and [`Weights::open_sharded`].
    pub fn weights(&self) -> Result<Weights, CheckpointError> {
        match self.index() {
            Some(index) => Weights::open_sharded(&index),
            None => Weights::open(&self.file(WEIGHTS_FILE)?),
        }
    }

    /// The index of the weights, where they lie in several files.
    fn index(&self) -> Option<PathBuf> {
        let index = self.path.join(WEIGHTS_INDEX_FILE);
        (!self.path.join(WEIGHTS_FILE).is_file() && index.is_file()).then_some(index)
    }

    /// The files that make the model what it is, in a fixed order: configuration, tokenizer,
    /// weights. Only those that are there.
    ///
    /// # Errors
    /// An index of weights that cannot be read, or names files that are not there.
    pub fn files(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        let mut files =
            [CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE].map(|name| self.path.join(name)).to_vec();
        files.retain(|path| path.is_file());
        if let Some(index) = self.index() {
            let shards = shards::files(&index, &shards::read(&index)?)?;
            files.push(index);
            files.extend(shards);
        }
        Ok(files)
    }

    /// Reads `tokenizer.json` as one that neither cuts nor pads, whatever the file says.
    ///
    /// # Errors
    /// A file that is missing or no tokenizer, or a tokenizer with an id that is not below
    /// `vocab_size`.
    pub fn tokenizer(&self, vocab_size: usize) -> Result<Tokenizer, CheckpointError> {
        let path = self.tokenizer_path()?;
        let tokenizer = read_tokenizer(&path)?;
        // ids may have holes, so that their number says nothing
        let is_beyond = |id: u32| usize::try_from(id).map_or(true, |id| id >= vocab_size);
        let mut beyond: Vec<(String, u32)> =
            tokenizer.get_vocab(true).into_iter().filter(|(_, id)| is_beyond(*id)).collect();
        if beyond.is_empty() {
            return Ok(tokenizer);
        }
        beyond.sort_by_key(|(_, id)| *id);
        let tokens = beyond.into_iter().map(|(token, id)| format!("{token:?} ({id})")).collect();
        Err(CheckpointError::Vocabulary { path, tokens, vocab_size })
    }

    /// Where `tokenizer.json` is.
    ///
    /// # Errors
    /// If it is missing.
    pub fn tokenizer_path(&self) -> Result<PathBuf, CheckpointError> {
        self.file(TOKENIZER_FILE)
    }

    fn file(&self, file: &'static str) -> Result<PathBuf, CheckpointError> {
        let path = self.path.join(file);
        if path.is_file() {
            return Ok(path);
        }
        let path = self.path.clone();
        Err(match foreign::found_instead(&path, file) {
            Some((found, command)) => CheckpointError::Foreign { path, file, found, command },
            None => CheckpointError::MissingFile { path, file },
        })
    }
}

/// Reads a `tokenizer.json` as one that neither cuts nor pads, whatever the file says.
///
/// # Errors
/// A file that cannot be read, is no JSON, or is no tokenizer.
pub fn read_tokenizer(path: &Path) -> Result<Tokenizer, CheckpointError> {
    let bytes = fs::read(path).map_err(CheckpointError::io(path, "read"))?;
    if foreign::is_lfs_pointer(&bytes) {
        return Err(CheckpointError::LfsPointer { path: path.to_owned() });
    }
    // tokenizers panics over some files that are no JSON
    let json = |source| CheckpointError::Json { path: path.to_owned(), source };
    let content: Value = serde_json::from_slice(&bytes).map_err(json)?;
    let unusable = |source| CheckpointError::Tokenizer { path: path.to_owned(), source };
    check_templates(&content["post_processor"]).map_err(|detail| unusable(detail.into()))?;
    let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(unusable)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(unusable)?;
    Ok(tokenizer)
}

/// Refuses a template that puts a special token around texts which the file does not define:
/// tokenizers panics over it at the first text.
fn check_templates(post_processor: &Value) -> Result<(), String> {
    for inner in post_processor["processors"].as_array().into_iter().flatten() {
        check_templates(inner)?;
    }
    let pieces = ["single", "pair"]
        .into_iter()
        .flat_map(|template| post_processor[template].as_array().into_iter().flatten());
    let tokens = pieces.filter_map(|piece| piece["SpecialToken"]["id"].as_str());
    let mut unknown = tokens.filter(|token| post_processor["special_tokens"].get(token).is_none());
    match unknown.next() {
        Some(token) => Err(format!(
            "post_processor: a template has the token {token:.40?}, which is not among its \
             special_tokens"
        )),
        None => Ok(()),
    }
}

/// Writes a configuration as `config.json` in a directory, indented, with the keys in the order
/// that serde gives them.
///
/// # Errors
/// What cannot be written as JSON, or what the file system says.
pub fn write_config(dir: &Path, config: &impl Serialize) -> Result<(), CheckpointError> {
    write_json(&dir.join(CONFIG_FILE), config)
}

/// Writes what transformers samples with, `generation_config.json`, likewise.
///
/// # Errors
/// As [`write_config`].
pub fn write_generation_config(dir: &Path, config: &impl Serialize) -> Result<(), CheckpointError> {
    write_json(&dir.join(GENERATION_CONFIG_FILE), config)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), CheckpointError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|source| CheckpointError::Json { path: path.to_owned(), source })?;
    text.push('\n');
    Ok(write_file(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_a_directory_is_named_with_what_it_is() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        for (path, found) in [(file, "found a file"), (home.path().join("none"), "found nothing")] {
            let error = ModelDir::open(&path).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()) && error.ends_with(found), "{error}");
        }
    }

    #[test]
    fn a_tokenizer_that_is_cut_or_garbled_is_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(TOKENIZER_FILE);
        let sound = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/bert/tokenizer.json"),
        )
        .unwrap();
        fs::write(&path, &sound).unwrap();
        assert!(read_tokenizer(&path).is_ok());
        // what tokenizers itself panics over: an end and an escape in the middle of its decoder
        let decoder = sound.find("\"decoder\"").unwrap();
        let rest = decoder + sound[decoder..].find('}').unwrap();
        for damaged in [
            sound[..rest].to_owned() + "]",
            sound.replace("\"decoder\"", "\"dec\\u00zzoder\""),
            sound[..rest].to_owned(),
        ] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(read_tokenizer(&path), Err(CheckpointError::Json { .. })));
        }
        fs::write(&path, "{}").unwrap();
        assert!(matches!(read_tokenizer(&path), Err(CheckpointError::Tokenizer { .. })));
    }

    #[test]
    fn a_template_with_a_token_that_is_not_defined_is_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(TOKENIZER_FILE);
        let sound = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/bert/tokenizer.json"),
        )
        .unwrap();
        let mut tokenizer: Value = serde_json::from_str(&sound).unwrap();
        let cls = json!({"SpecialToken": {"id": "[CLS]", "type_id": 0}});
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let template = |special_tokens: Value| {
            json!({
                "type": "TemplateProcessing",
                "single": [cls, text],
                "pair": [text],
                "special_tokens": special_tokens,
            })
        };
        let known = json!({"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}});
        for (processor, is_sound) in [
            (template(known.clone()), true),
            (template(json!({})), false),
            (json!({"type": "Sequence", "processors": [template(known)]}), true),
            (json!({"type": "Sequence", "processors": [template(json!({}))]}), false),
        ] {
            tokenizer["post_processor"] = processor;
            fs::write(&path, tokenizer.to_string()).unwrap();
            match read_tokenizer(&path) {
                Ok(tokenizer) => assert!(is_sound && tokenizer.encode("a", true).is_ok()),
                Err(error) => {
                    let cause = std::error::Error::source(&error).unwrap().to_string();
                    assert!(
                        !is_sound && cause.contains("has the token \"[CLS]\""),
                        "{error}: {cause}"
                    );
                }
            }
        }
    }

    #[test]
    fn each_missing_file_is_named() {
        let home = tempfile::tempdir().unwrap();
        let missing = |error: CheckpointError| match error {
            CheckpointError::MissingFile { file, .. } => file,
            other => panic!("{other}"),
        };
        assert_eq!(missing(ModelDir::open(home.path()).unwrap_err()), CONFIG_FILE);
        write_config(home.path(), &json!({})).unwrap();
        let dir = ModelDir::open(home.path()).unwrap();
        assert_eq!(missing(dir.weights().unwrap_err()), WEIGHTS_FILE);
        assert_eq!(missing(dir.tokenizer_path().unwrap_err()), TOKENIZER_FILE);
        assert_eq!(dir.path(), home.path());
    }

    #[test]
    fn ids_must_fit_the_vocabulary_and_not_their_number() {
        let home = tempfile::tempdir().unwrap();
        write_config(home.path(), &json!({})).unwrap();
        let tokenizer = |words: &Value| {
            let model = json!({ "type": "WordLevel", "vocab": words, "unk_token": "a" });
            let text = json!({ "version": "1.0", "added_tokens": [], "model": model });
            fs::write(home.path().join(TOKENIZER_FILE), text.to_string()).unwrap();
            ModelDir::open(home.path())
                .unwrap()
                .tokenizer(4)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(tokenizer(&json!({ "a": 0, "b": 3 })), Ok(()));
        let message = tokenizer(&json!({ "a": 0, "c": 7, "b": 4 })).unwrap_err();
        let expected = "2 tokens beyond the model's vocabulary of 4 embeddings (ids 0 to 3): \
            \"b\" (4), \"c\" (7)";
        assert!(message.contains(TOKENIZER_FILE) && message.contains(expected), "{message}");
        let message = tokenizer(&json!([])).unwrap_err();
        assert!(message.ends_with("cannot be used as a tokenizer"), "{message}");
    }

    #[test]
    fn a_configuration_is_read_back() {
        let home = tempfile::tempdir().unwrap();
        write_config(home.path(), &json!({ "n_embd": 8 })).unwrap();
        let dir = ModelDir::open(home.path()).unwrap();
        assert_eq!(dir.config::<Value>().unwrap()["n_embd"], 8);
        let error = dir.config::<Vec<u8>>().unwrap_err();
        assert!(matches!(error, CheckpointError::Json { .. }), "{error}");
        fs::write(home.path().join(CONFIG_FILE), "{").unwrap();
        assert!(dir.config::<Value>().unwrap_err().to_string().contains(CONFIG_FILE));
    }
}

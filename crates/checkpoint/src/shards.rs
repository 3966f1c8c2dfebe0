//! The index of weights that lie in several files: `model.safetensors.index.json`, as
//! `save_pretrained` writes it for large models.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::error::CheckpointError;

/// The file of each tensor.
pub(crate) type Places = BTreeMap<String, String>;

/// Reads the index.
///
/// # Errors
/// A file that cannot be read, or has no `weight_map` of file names.
pub(crate) fn read(index: &Path) -> Result<Places, CheckpointError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: Places,
    }
    let bytes = fs::read(index).map_err(CheckpointError::io(index, "read"))?;
    let Index { weight_map } = serde_json::from_slice(&bytes)
        .map_err(|source| CheckpointError::Json { path: index.to_owned(), source })?;
    Ok(weight_map)
}

/// The files that the index names, beside it, each once.
///
/// # Errors
/// Those that are not there, or do not lie beside the index.
pub(crate) fn files(index: &Path, places: &Places) -> Result<Vec<PathBuf>, CheckpointError> {
    let names: BTreeSet<&str> = places.values().map(String::as_str).collect();
    let is_beside = |name: &&str| {
        matches!(Path::new(name).components().collect::<Vec<_>>()[..], [Component::Normal(_)])
    };
    let (beside, elsewhere): (Vec<&str>, Vec<&str>) = names.into_iter().partition(is_beside);
    let path = |name: &str| index.with_file_name(name);
    let missing = beside.iter().filter(|name| !path(name).is_file()).copied();
    let missing: Vec<String> = elsewhere.into_iter().chain(missing).map(str::to_owned).collect();
    if missing.is_empty() {
        Ok(beside.into_iter().map(path).collect())
    } else {
        Err(CheckpointError::MissingShard { path: index.to_owned(), files: missing })
    }
}

/// Refuses files that do not hold the tensors that the index places there.
///
/// # Errors
/// The first such tensor.
pub(crate) fn check(
    index: &Path,
    places: &Places,
    holds: impl Fn(&str, &str) -> bool,
) -> Result<(), CheckpointError> {
    match places.iter().find(|(name, file)| !holds(file, name)) {
        None => Ok(()),
        Some((name, file)) => Err(CheckpointError::NotInShard {
            path: index.to_owned(),
            name: name.clone(),
            file: file.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::{WeightType, Weights, WeightsWriter};

    /// Two files, `one` with tensor `a` and `two` with tensor `b`, and an index that says so.
    fn sharded() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (file, name, value) in [("one", "a", 1.0), ("two", "b", 2.0)] {
            let mut writer = WeightsWriter::new(WeightType::F32);
            writer.insert(name, Tensor::<1>::from_floats([value], &Device::flex()));
            writer.write(&home.path().join(file)).unwrap();
        }
        put_index(
            &home,
            r#"{"metadata": {"total_size": 8}, "weight_map": {"a": "one", "b": "two"}}"#,
        );
        home
    }

    fn put_index(home: &tempfile::TempDir, text: &str) {
        fs::write(home.path().join("index.json"), text).unwrap();
    }

    fn open(home: &tempfile::TempDir) -> Result<Weights, CheckpointError> {
        Weights::open_sharded(&home.path().join("index.json"))
    }

    #[test]
    fn tensors_are_read_from_the_file_that_has_them() {
        let mut weights = open(&sharded()).unwrap();
        let mut value = |name: &str| {
            weights
                .tensor(name, [1], &Device::flex())
                .unwrap()
                .into_data()
                .try_to_vec::<f32>()
                .unwrap()
        };
        assert_eq!([value("a"), value("b")], [[1.0], [2.0]]);
        weights.finish(|_| false).unwrap();
    }

    #[test]
    fn all_missing_files_are_named() {
        let home = sharded();
        put_index(
            &home,
            r#"{"weight_map": {"a": "one", "b": "three", "c": "four", "d": "../two"}}"#,
        );
        let error = open(&home).unwrap_err().to_string();
        assert!(
            error.ends_with("names 3 files that are not beside it: ../two, four, three"),
            "{error}"
        );
    }

    #[test]
    fn a_tensor_in_another_file_than_the_index_says_is_named() {
        let home = sharded();
        put_index(&home, r#"{"weight_map": {"a": "two", "b": "two"}}"#);
        let error = open(&home).unwrap_err().to_string();
        assert!(
            error.ends_with("index.json: a should be in two, which does not hold it"),
            "{error}"
        );
    }

    #[test]
    fn a_tensor_in_two_files_is_named() {
        let home = sharded();
        let mut writer = WeightsWriter::new(WeightType::F32);
        writer.insert("a", Tensor::<1>::from_floats([1.0], &Device::flex()));
        writer.insert("b", Tensor::<1>::from_floats([1.0], &Device::flex()));
        writer.write(&home.path().join("both")).unwrap();
        put_index(&home, r#"{"weight_map": {"a": "one", "b": "both"}}"#);
        let error = open(&home).unwrap_err().to_string();
        assert!(error.contains("both: a is also in") && error.ends_with("one"), "{error}");
    }

    #[test]
    fn what_is_no_index_is_named() {
        let home = sharded();
        for text in ["{", "{}", r#"{"weight_map": {"a": 1}}"#] {
            put_index(&home, text);
            let error = open(&home).unwrap_err();
            assert!(
                matches!(
                    &error,
                    CheckpointError::Json { path, .. } if path.ends_with("index.json")
                ),
                "{error}"
            );
        }
    }
}

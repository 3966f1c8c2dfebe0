//! Claims about files of weights: what is read, and what is refused in which words.

use std::fs;

use super::*;

fn device() -> Device {
    Device::flex()
}

/// A safetensors file of this header and these data bytes.
fn file(header: &[u8], data: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(file.path(), [&length, header, data].concat()).unwrap();
    file
}

fn open(header: &str, data: &[u8]) -> Result<Weights, CheckpointError> {
    Weights::open(file(header.as_bytes(), data).path())
}

/// One tensor `w` of this type and shape over all the data.
fn one(dtype: &str, shape: &[usize], data: &[u8]) -> Weights {
    let tensor = serde_json::json!({
        "dtype": dtype,
        "shape": shape,
        "data_offsets": [0, data.len()],
    });
    let header = serde_json::json!({ "w": tensor });
    let file = file(header.to_string().as_bytes(), data);
    // the file stays open after it has lost its name
    Weights::open(file.path()).unwrap()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn a_missing_file_is_named() {
    let error = Weights::open(Path::new("nowhere/model.safetensors")).unwrap_err();
    assert!(error.to_string().contains("nowhere/model.safetensors"), "{error}");
}

#[test]
fn a_file_shorter_than_its_length_field_was_cut_short() {
    for length in 0..8 {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), vec![1; length]).unwrap();
        let error = Weights::open(file.path()).unwrap_err();
        assert!(matches!(error, CheckpointError::FileSize { expected: 8, .. }), "{error}");
    }
}

#[test]
fn a_header_longer_than_any_header_is_refused_unread() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), u64::MAX.to_le_bytes()).unwrap();
    let error = Weights::open(file.path()).unwrap_err();
    assert!(matches!(error, CheckpointError::HeaderSize { found: u64::MAX, .. }), "{error}");
}

#[test]
fn a_header_longer_than_the_file_was_cut_short() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), [&1000_u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
    let error = Weights::open(file.path()).unwrap_err();
    assert!(
        matches!(error, CheckpointError::FileSize { found: 10, expected: 1008, .. }),
        "{error}"
    );
}

#[test]
fn a_header_must_be_utf_8() {
    let error = Weights::open(file(b"{\"\xff\": 1}", b"").path()).unwrap_err();
    assert!(matches!(error, CheckpointError::HeaderText { .. }), "{error}");
}

#[test]
fn a_header_must_be_a_json_object_of_tensors() {
    let entries = [
        "",
        "[]",
        "{",
        r#"{"w": 1}"#,
        r#"{"w": {"dtype": "F32", "shape": [1]}}"#,
        r#"{"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}"#,
        r#"{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}"#,
    ];
    for header in entries {
        let error = open(header, &[0; 4]).unwrap_err();
        assert!(matches!(error, CheckpointError::Json { .. }), "{header}: {error}");
    }
}

#[test]
fn data_must_end_where_the_header_says() {
    let header = r#"{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}"#;
    for length in [0, 7, 9, 16] {
        let error = open(header, &vec![0; length]).unwrap_err();
        assert!(matches!(error, CheckpointError::FileSize { .. }), "{error}");
    }
    assert!(open(header, &[0; 8]).is_ok());
}

#[test]
fn tensors_neither_overlap_nor_leave_a_hole() {
    for (begin, end) in [(0, 4), (2, 6), (5, 9), (8, 12)] {
        let header = format!(
            r#"{{"a": {{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
                "b": {{"dtype": "F32", "shape": [1], "data_offsets": [{begin}, {end}]}}}}"#
        );
        let error = open(&header, &[0; 8]).unwrap_err();
        assert!(matches!(error, CheckpointError::Offsets { expected: [4, 8], .. }), "{error}");
    }
}

#[test]
fn offsets_agree_with_shape_and_type() {
    for offsets in ["[0, 6]", "[0, 12]", "[8, 0]"] {
        let header =
            format!(r#"{{"w": {{"dtype": "F16", "shape": [2, 2], "data_offsets": {offsets}}}}}"#);
        let error = open(&header, &[0; 8]).unwrap_err();
        assert!(matches!(error, CheckpointError::Offsets { expected: [0, 8], .. }), "{error}");
    }
}

#[test]
fn a_shape_too_large_to_count_is_refused() {
    let header = format!(
        r#"{{"w": {{"dtype": "F32", "shape": [{0}, {0}], "data_offsets": [0, 8]}}}}"#,
        u32::MAX
    );
    let error = open(&header, &[0; 8]).unwrap_err();
    assert!(matches!(error, CheckpointError::TooLarge { .. }), "{error}");
}

#[test]
fn a_missing_tensor_is_named_with_its_shape() {
    let error = one("F32", &[1], &[0; 4]).tensor("ln.bias", [3], &device()).unwrap_err();
    assert!(
        error.to_string().ends_with("ln.bias is missing, expected a tensor of shape [3]"),
        "{error}"
    );
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let mut weights = one("F32", &[2, 1], &[0; 8]);
    let error = weights.tensor("w", [1, 2], &device()).unwrap_err();
    assert!(error.to_string().ends_with("w has shape [2, 1], expected [1, 2]"), "{error}");
    let error = weights.tensor("w", [2], &device()).unwrap_err();
    assert!(error.to_string().ends_with("w has shape [2, 1], expected [2]"), "{error}");
}

#[test]
fn only_floating_point_tensors_are_weights() {
    for (dtype, size) in [("I64", 8), ("F64", 8), ("U8", 1), ("F4", 3)] {
        let error = one(dtype, &[1], &vec![0; size]).tensor("w", [1], &device()).unwrap_err();
        assert!(
            error.to_string().ends_with(&format!("w has type {dtype}, expected F32, F16 or BF16")),
            "{error}"
        );
    }
}

#[test]
fn weights_must_be_finite() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error =
            one("F32", &[3], &bytes(&[1.0, value, 2.0])).tensor("w", [3], &device()).unwrap_err();
        assert!(matches!(error, CheckpointError::NotFinite { index: 1, .. }), "{error}");
    }
    let infinity = f16::INFINITY.to_le_bytes();
    let error = one("F16", &[1], &infinity).tensor("w", [1], &device()).unwrap_err();
    assert!(matches!(error, CheckpointError::NotFinite { index: 0, .. }), "{error}");
}

#[test]
fn all_three_types_become_single_precision() {
    let values = [0.0_f32, -1.5, 3.25, 65504.0];
    let half: Vec<u8> =
        values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
    let brain: Vec<u8> =
        values[..3].iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
    for (dtype, data, expected) in [
        ("F32", bytes(&values), &values[..]),
        ("F16", half, &values[..]),
        ("BF16", brain, &values[..3]),
    ] {
        let tensor =
            one(dtype, &[expected.len()], &data).tensor("w", [expected.len()], &device()).unwrap();
        assert_eq!(tensor.into_data().try_to_vec::<f32>().unwrap(), expected, "{dtype}");
    }
}

#[test]
fn tensors_that_nobody_asked_for_are_listed() {
    let header = r#"{"__metadata__": {"format": "pt"},
        "x.a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        "mask": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]}}"#;
    let mut weights = open(header, &[0; 16]).unwrap();
    weights.strip_prefix("x.");
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "b", "mask"]);
    assert!(weights.contains("a") && !weights.contains("x.a"));
    assert_eq!(weights.shape("mask"), Some(&[][..]));
    weights.tensor("b", [1], &device()).unwrap();
    let error = weights.finish(|name| name == "mask").unwrap_err();
    assert!(matches!(&error, CheckpointError::Unused { names, .. } if names == &["a"]), "{error}");
}

#[test]
fn many_left_over_tensors_are_counted() {
    let names = (0..10).map(|index| format!("t{index}")).collect();
    let error = CheckpointError::Unused { path: "m".into(), names };
    let list =
        "m: 10 tensors that the model does not have: t0, t1, t2, t3, t4, t5, t6, t7 and 2 more";
    assert_eq!(error.to_string(), list);
}

#[test]
fn all_missing_tensors_are_named_at_once() {
    let weights = one("F32", &[1], &[0; 4]);
    let wanted =
        |names: &[&str]| weights.require(names.iter().map(|name| ((*name).to_owned(), vec![2])));
    assert!(wanted(&["w"]).is_ok());
    let error = wanted(&["a", "w", "b", "c"]).unwrap_err().to_string();
    assert!(
        error.ends_with("a is missing, expected a tensor of shape [2]; so are 2 others: b, c"),
        "{error}"
    );
    let error = wanted(&["a", "b"]).unwrap_err().to_string();
    assert!(error.ends_with("; so is b"), "{error}");
}

#[test]
fn a_matrix_that_the_file_holds_transposed_is_turned_and_contiguous() {
    let (rows, width) = (37, 70);
    let stored: Vec<f32> = (0..u16::try_from(rows * width).unwrap()).map(f32::from).collect();
    let mut weights = one("F32", &[width, rows], &bytes(&stored));
    let turned = weights
        .transposed("w", [rows, width], &device())
        .unwrap()
        .into_data()
        .try_to_vec::<f32>()
        .unwrap();
    let expected = |at: usize| stored[at % width * rows + at / width];
    assert!(turned.iter().enumerate().all(|(at, value)| value.to_bits() == expected(at).to_bits()));
    let error =
        one("F32", &[2, 1], &[0; 8]).transposed("w", [2, 1], &device()).unwrap_err().to_string();
    assert!(error.ends_with("w has shape [2, 1], expected [1, 2]"), "{error}");
}

#[test]
fn names_lose_what_trainers_put_before_them() {
    let wrapped = |names: &[&str]| {
        let entry = |(at, name): (usize, &&str)| {
            let offsets = [4 * at, 4 * at + 4];
            (
                (*name).to_owned(),
                serde_json::json!({ "dtype": "F32", "shape": [1], "data_offsets": offsets }),
            )
        };
        let header: serde_json::Map<_, _> = names.iter().enumerate().map(entry).collect();
        let mut weights =
            open(&serde_json::Value::Object(header).to_string(), &vec![0; 4 * names.len()])
                .unwrap();
        weights.strip_wrappers();
        weights.names().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(wrapped(&["module._orig_mod.a", "module._orig_mod.b.module.c"]), "a b.module.c");
    assert_eq!(wrapped(&["pretrained_model.a", "v_head.b"]), "a v_head.b");
    assert_eq!(wrapped(&["base_model.model.a", "base_model.b"]), "a b");
    assert_eq!(wrapped(&["module.a", "a"]), "a module.a", "two of one name stay apart");
}

#[test]
fn a_prefix_is_kept_where_two_names_would_meet() {
    for name in ["a", "z"] {
        let header = format!(
            r#"{{"p.{name}": {{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
                "{name}": {{"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}}}"#
        );
        let mut weights = open(&header, &[0; 12]).unwrap();
        weights.strip_prefix("p.");
        assert_eq!(weights.shape(name), Some(&[2][..]));
        assert_eq!(weights.shape(&format!("p.{name}")), Some(&[1][..]));
    }
}

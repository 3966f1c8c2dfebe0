//! What happens to a file: bytes flipped, cut, doubled, swapped, inserted; numbers that no file
//! has; lines and JSON that do not fit.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::json::{self, ODD_NUMBERS};

/// How a file is read, which decides what may happen to it beside what may happen to any bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A binary file whose beginning and end matter most.
    Bytes,
    /// Lines: TOML, CSV.
    Lines,
    /// One JSON value.
    Json,
    /// A JSON value on each line.
    JsonLines,
    /// Eight bytes with the length of a JSON header, the header, numbers.
    Safetensors,
}

impl Form {
    /// By the name of a file.
    pub(super) fn of(name: &str) -> Self {
        match name.rsplit('.').next().unwrap_or_default() {
            "json" => Self::Json,
            "jsonl" => Self::JsonLines,
            "safetensors" => Self::Safetensors,
            "toml" | "csv" => Self::Lines,
            _ => Self::Bytes,
        }
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Lines | Self::Json | Self::JsonLines)
    }
}

/// Values of keys, as text, most of which are of another type than what stood there.
const ODD_VALUES: &[&str] = &[
    "\"\"",
    "\"x\"",
    "[]",
    "[[]]",
    "{}",
    "true",
    "false",
    "''",
    "[1, \"a\"]",
    "1979-05-27",
    "\"\\u0000\"",
    "\"🙂\"",
    "\"../..\"",
];
/// Counts and lengths within a binary file.
const ODD_COUNTS: &[u64] = &[
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];
/// Pieces of text that end fields, lines or strings, or are none.
const ODD_PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\\"",
    b",",
    b";",
    b"\t",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    "\u{feff}".as_bytes(),
    "\u{202e}".as_bytes(),
    b"\x1b[31m",
    b"{",
    b"}",
    b"[",
    b"]",
    b"'",
    b"'''",
    b"#",
    b"=",
    b"\n\n",
    b"null",
];
/// Most bytes that one piece of damage touches, where it is not a cut.
const PIECE: usize = 64;

/// A damaged copy: one to three pieces of damage, so that most of the file stays what it was.
pub(super) fn damage(bytes: &[u8], form: Form, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..rng.random_range(1..=3) {
        damaged = once(damaged, form, rng);
    }
    damaged
}

fn once(bytes: Vec<u8>, form: Form, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let structured = rng.random_bool(0.6);
    match form {
        Form::Json if structured => json::damage(&bytes, rng).unwrap_or(bytes),
        Form::Safetensors if structured => header(&bytes, rng).unwrap_or(bytes),
        Form::JsonLines if structured => line(&bytes, true, rng),
        Form::Lines if structured => line(&bytes, false, rng),
        _ => anywhere(bytes, form, rng),
    }
}

/// Damage to bytes, whatever they mean.
fn anywhere(mut bytes: Vec<u8>, form: Form, rng: &mut ChaCha8Rng) -> Vec<u8> {
    if bytes.is_empty() {
        return vec![rng.random()];
    }
    let at = place(bytes.len(), form, rng);
    let end = bytes.len().min(at + rng.random_range(1..=PIECE));
    match rng.random_range(0..9) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
        5 => {
            let other = rng.random_range(0..bytes.len());
            bytes.swap(at, other);
        }
        6 => {
            let piece = ODD_PIECES[rng.random_range(0..ODD_PIECES.len())].to_vec();
            drop(bytes.splice(at..at, piece));
        }
        7 if form.is_text() => bytes = number(bytes, at, rng),
        7 => {
            let count = ODD_COUNTS[rng.random_range(0..ODD_COUNTS.len())].to_le_bytes();
            let width = [1, 2, 4, 8][rng.random_range(0..4)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&count[..width]);
        }
        _ => {
            let filler = [0, 0xff, b' ', b'9'][rng.random_range(0..4)];
            bytes[at..end].fill(filler);
        }
    }
    bytes
}

/// Where damage begins: headers stand at the beginning, of Parquet at the end.
fn place(length: usize, form: Form, rng: &mut ChaCha8Rng) -> usize {
    let near = length.min(2 * PIECE);
    match (form.is_text(), rng.random_range(0..4)) {
        (false, 0) => rng.random_range(0..near),
        (false, 1) => length - 1 - rng.random_range(0..near),
        _ => rng.random_range(0..length),
    }
}

/// Puts another number in the place of the first one behind a place.
fn number(mut bytes: Vec<u8>, at: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b".-+eE".contains(byte);
    let Some(begin) = bytes[at..].iter().position(u8::is_ascii_digit).map(|offset| at + offset)
    else {
        return bytes;
    };
    let end = bytes[begin..]
        .iter()
        .position(|byte| !is_part(byte))
        .map_or(bytes.len(), |offset| begin + offset);
    let odd = ODD_NUMBERS[rng.random_range(0..ODD_NUMBERS.len())];
    drop(bytes.splice(begin..end, odd.bytes()));
    bytes
}

/// Damage to one line: what it says, or where it stands.
fn line(bytes: &[u8], is_json: bool, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = rng.random_range(0..lines.len());
    match rng.random_range(0..8) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => {
            let other = rng.random_range(0..lines.len());
            lines.swap(at, other);
        }
        3 => lines[at].clear(),
        4 => lines[at] = lines[at].repeat(200),
        _ if is_json => {
            if let Some(damaged) = json::damage(&lines[at], rng) {
                lines[at] = damaged;
            }
        }
        _ => lines[at] = value(&lines[at], rng),
    }
    lines.join(&b'\n')
}

/// A line of TOML with another value, or a row of CSV with another cell.
fn value(line: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let odd = if rng.random_bool(0.6) { ODD_NUMBERS } else { ODD_VALUES };
    let odd = odd[rng.random_range(0..odd.len())].as_bytes();
    if let Some(equals) = line.iter().position(|&byte| byte == b'=') {
        return [&line[..=equals], b" ", odd].concat();
    }
    let mut cells: Vec<&[u8]> = line.split(|&byte| byte == b',').collect();
    let at = rng.random_range(0..cells.len());
    cells[at] = odd;
    cells.join(&b',')
}

/// Damage to the header of a safetensors file, with a length that fits it.
fn header(bytes: &[u8], rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
    let length = usize::try_from(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)).ok()?;
    let data = bytes.get(8_usize.checked_add(length)?..)?;
    let header = json::damage(bytes.get(8..8 + length)?, rng)?;
    Some([&(header.len() as u64).to_le_bytes()[..], &header, data].concat())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn rng(case: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(case)
    }

    #[test]
    fn damage_follows_the_seed_and_changes_nearly_always_something() {
        let (json, lines) = (
            &b"{\"a\": 1, \"b\": [2, 3]}"[..],
            &b"{\"a\": 1, \"b\": [2, 3]}\n{\"a\": 4, \"b\": []}\n"[..],
        );
        let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let tensors = [&(header.len() as u64).to_le_bytes()[..], header, &[7; 8]].concat();
        for (form, text) in [
            (Form::Bytes, lines),
            (Form::Lines, lines),
            (Form::Json, json),
            (Form::JsonLines, lines),
            (Form::Safetensors, &tensors),
        ] {
            let damaged = |case| damage(text, form, &mut rng(case));
            assert!((0..200).all(|case| damaged(case) == damaged(case)), "{form:?}");
            let changed = (0..200).filter(|&case| damaged(case) != text).count();
            assert!(changed > 150, "{form:?}: {changed}");
        }
    }

    #[test]
    fn nothing_is_damaged_into_something() {
        for form in [Form::Bytes, Form::Lines, Form::Json, Form::JsonLines, Form::Safetensors] {
            (0..200).for_each(|case| drop(damage(b"", form, &mut rng(case))));
        }
    }

    #[test]
    fn a_damaged_header_has_a_length_that_fits() {
        let text = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let file = [&(text.len() as u64).to_le_bytes()[..], text, &[7; 8]].concat();
        for case in 0..100 {
            let damaged = header(&file, &mut rng(case)).unwrap();
            let length = u64::from_le_bytes(damaged[..8].try_into().unwrap());
            assert_eq!(damaged.len() as u64, 8 + length + 8);
            assert_eq!(damaged[damaged.len() - 8..], [7; 8]);
        }
    }

    #[test]
    fn a_number_is_replaced_whole() {
        let damaged = number(b"rate = 1.5e-3\n".to_vec(), 0, &mut rng(1));
        let text = String::from_utf8(damaged).unwrap();
        let found = text.strip_prefix("rate = ").unwrap().trim_end();
        assert!(ODD_NUMBERS.contains(&found), "{text}");
    }
}

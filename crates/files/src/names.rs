//! Names: of temporaries, `.NAME.ID.tailguard-new`, and of what they become.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::FileError;

/// Digits of an ID: eight of the process, eight of its counter.
const ID_DIGITS: usize = 16;

/// What a temporary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The old content, moved away.
    Old,
    /// The new content, not whole yet.
    New,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Old, Self::New];

    fn suffix(self) -> &'static str {
        match self {
            Self::Old => ".tailguard-old",
            Self::New => ".tailguard-new",
        }
    }
}

/// A number that no other temporary of a living process on this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u64);

impl Id {
    pub(crate) fn next() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        Self(u64::from(process::id()) << 32 | u64::from(COUNTER.fetch_add(1, Ordering::Relaxed)))
    }

    /// Whether this process gave it.
    pub(crate) fn is_ours(self) -> bool {
        self.0 >> 32 == u64::from(process::id())
    }
}

/// What the name of a temporary says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Temporary {
    /// The name that it is for.
    pub(crate) of: OsString,
    pub(crate) id: Id,
    pub(crate) kind: Kind,
}

/// The name of a temporary.
pub(crate) fn name(of: &OsStr, id: Id, kind: Kind) -> OsString {
    let mut name = OsString::from(".");
    name.push(of);
    name.push(format!(".{:016x}{}", id.0, kind.suffix()));
    name
}

/// Reads a name of a temporary; nothing if it is another file's.
pub(crate) fn parse(name: &OsStr) -> Option<Temporary> {
    let bytes = name.as_encoded_bytes().strip_prefix(b".")?;
    let (rest, kind) = Kind::ALL
        .into_iter()
        .find_map(|kind| Some((bytes.strip_suffix(kind.suffix().as_bytes())?, kind)))?;
    let (of, id) = rest.split_at_checked(rest.len().checked_sub(ID_DIGITS)?)?;
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let id = str::from_utf8(id).ok().filter(|id| id.as_bytes().iter().all(is_digit))?;
    let of = of.strip_suffix(b".").filter(|of| !of.is_empty())?;
    Some(Temporary { of: os_string(of)?, id: Id(u64::from_str_radix(id, 16).ok()?), kind })
}

/// Part of a file's name, cut at ASCII characters.
#[cfg(unix)]
fn os_string(bytes: &[u8]) -> Option<OsString> {
    use std::os::unix::ffi::OsStrExt;
    Some(OsStr::from_bytes(bytes).to_owned())
}

/// Part of a file's name, cut at ASCII characters; nothing if it is not Unicode.
#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> Option<OsString> {
    str::from_utf8(bytes).ok().map(OsString::from)
}

/// The folder of a path, in a form that can be opened, and its last name.
pub(crate) fn split(path: &Path) -> Result<(PathBuf, &OsStr), FileError> {
    let nameless = || {
        FileError::of("write", path)(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it has no name of its own",
        ))
    };
    let name = path.file_name().ok_or_else(nameless)?;
    Ok((openable(path.parent().unwrap_or(path)).to_owned(), name))
}

/// The folder of a path that is a name alone is the one that the process works in.
pub(crate) fn openable(parent: &Path) -> &Path {
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_belongs_to_one_name() {
        for of in ["a", "a.b", "a.0123456789abcdef", ".a", "b.tailguard-new"] {
            for kind in Kind::ALL {
                let id = Id::next();
                assert!(id.is_ours());
                let made = name(OsStr::new(of), id, kind);
                assert_eq!(parse(&made), Some(Temporary { of: of.into(), id, kind }), "{made:?}");
            }
        }
    }

    #[test]
    fn other_names_are_nobodys() {
        for other in [
            "a",
            ".a.tailguard-new",
            "a.0123456789abcdef.tailguard-new",
            ".a.0123456789abcdeF.tailguard-new",
            ".a.+123456789abcdef.tailguard-new",
            ".a.0123456789abcde.tailguard-new",
            ".a0123456789abcdef.tailguard-new",
            "..0123456789abcdef.tailguard-new",
            ".a.0123456789abcdef.tailguard-newer",
            ".a.1.tmp",
            "",
        ] {
            assert_eq!(parse(OsStr::new(other)), None, "{other}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_unicode() {
        use std::os::unix::ffi::OsStrExt;
        let of = OsStr::from_bytes(b"a\xff");
        assert_eq!(parse(&name(of, Id::next(), Kind::Old)).unwrap().of, of);
    }
}

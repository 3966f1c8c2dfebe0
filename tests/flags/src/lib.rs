//! What a command line takes and what it refuses, held against a table: for each command and each
//! way to call it, which flags it obeys, what these need, and which two of them contradict each
//! other. Everything else must be refused with exit code 2. The table is held against clap's own
//! definition, so that a new flag is in neither only until a test runs.
//!
//! All checks panic with the call that is wrong: they are for tests alone.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::iter::{once, repeat_n};
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command, value_parser};

/// A way to call a command. Flags are named as they are typed, one space between them.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// What is always typed.
    pub words: &'static str,
    /// Flags that are obeyed as they are.
    pub obeyed: &'static str,
    /// Flags that are obeyed beside another: any one of those behind the colon.
    pub needing: &'static [&'static str],
    /// Pairs that contradict each other, or of which one would leave the other nothing to do.
    pub refused: &'static [&'static str],
}

/// A command line and what is claimed of it.
#[derive(Clone, Copy, Debug)]
pub struct CommandLine {
    /// Its definition.
    pub definition: fn() -> Command,
    /// Whether a call, the program's name first, is taken: clap's error, or what is found out after
    /// clap.
    pub takes: fn(Vec<OsString>) -> Result<bool, clap::Error>,
    /// All ways to call it.
    pub modes: &'static [Mode],
    /// Flags of which 0 has a meaning.
    pub may_be_zero: &'static str,
    /// Values that make sense, of flags of which neither the first possible value nor 1 does.
    pub values: &'static [(&'static str, &'static str)],
}

/// Flags that every command obeys, and which of them contradict each other.
const EVERYWHERE: &str = "--quiet --verbose --color";
const REFUSED_EVERYWHERE: &str = "--quiet: --verbose";
/// Exit code of a call that is refused.
const USAGE: i32 = 2;

fn list(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split_whitespace()
}

/// `a: b c`
fn entry(text: &'static str) -> (&'static str, Vec<&'static str>) {
    let (flag, others) = text.split_once(':').unwrap_or_else(|| panic!("{text:?} has no colon"));
    (flag, list(others).collect())
}

fn name(arg: &Arg) -> String {
    format!("--{}", arg.get_long().unwrap_or_default())
}

fn find<'a>(flags: &'a [Arg], flag: &str) -> &'a Arg {
    flags.iter().find(|arg| name(arg) == flag).unwrap_or_else(|| panic!("there is no {flag}"))
}

/// How many values a flag wants.
fn count(arg: &Arg) -> usize {
    arg.get_num_args().map_or(1, |range| range.min_values().max(1))
}

/// The commands that have none below them, as they are typed.
#[must_use]
pub fn commands(definition: &Command) -> BTreeSet<String> {
    fn leaves(command: &Command, path: &str, found: &mut BTreeSet<String>) {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            leaves(inner, format!("{path} {}", inner.get_name()).trim(), found);
        }
        if !command.has_subcommands() {
            found.insert(path.to_owned());
        }
    }
    let mut found = BTreeSet::new();
    leaves(definition, "", &mut found);
    found
}

impl Mode {
    /// All flags that are obeyed as they are.
    fn obeyed(&self) -> impl Iterator<Item = &'static str> {
        list(self.obeyed).chain(list(EVERYWHERE))
    }

    fn needing(&self) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
        self.needing.iter().copied().map(entry)
    }

    /// The call with what its flags need and it lacks, in every way that there is.
    fn completed<'a>(&self, call: Vec<&'a str>) -> Vec<Vec<&'a str>> {
        let lacking = self.needing().find(|(flag, others)| {
            call.contains(flag) && !others.iter().any(|other| call.contains(other))
        });
        match lacking {
            None => vec![call],
            Some((_, others)) => others
                .into_iter()
                .flat_map(|other| self.completed([&call[..], &[other]].concat()))
                .collect(),
        }
    }
}

impl CommandLine {
    /// Commands of which no way to call them is known.
    #[must_use]
    pub fn commands_without_modes(&self) -> BTreeSet<String> {
        let mut found = commands(&(self.definition)());
        found.retain(|command| {
            !self.modes.iter().any(|mode| mode.words.starts_with(command.as_str()))
        });
        found
    }

    /// Every flag of every command is obeyed by itself, or beside what it needs, or is refused, as
    /// the table says.
    ///
    /// # Panics
    /// Where it is not; for a flag of the table that there is not.
    pub fn check_flags(&self) {
        for mode in self.modes {
            let flags = self.flags(mode);
            let needing: Vec<&str> = mode.needing().map(|(flag, _)| flag).collect();
            for arg in &flags {
                let flag = name(arg);
                let (is_obeyed, needs) =
                    (mode.obeyed().any(|name| name == flag), needing.contains(&flag.as_str()));
                assert_eq!(self.parses(mode, self.words(arg)), is_obeyed, "{} {flag}", mode.words);
                assert!(
                    !needs || self.admits(mode, &flags, &[&flag]),
                    "{} {flag} with what it needs",
                    mode.words
                );
            }
            // and what is listed is there
            for flag in mode.obeyed().chain(needing) {
                find(&flags, flag);
            }
        }
    }

    /// Every two flags of every command are obeyed together or refused, as the table says.
    ///
    /// # Panics
    /// Where they are not.
    pub fn check_pairs(&self) {
        for mode in self.modes {
            let flags = self.flags(mode);
            let known: Vec<&str> =
                mode.obeyed().chain(mode.needing().map(|(flag, _)| flag)).collect();
            let refused: Vec<(&str, Vec<&str>)> =
                mode.refused.iter().copied().chain([REFUSED_EVERYWHERE]).map(entry).collect();
            let is_refused = |a: &str, b: &str| {
                refused.iter().any(|(flag, others)| *flag == a && others.contains(&b))
            };
            for (place, a) in known.iter().enumerate() {
                for b in &known[..place] {
                    let expected = !is_refused(a, b) && !is_refused(b, a);
                    assert_eq!(
                        self.admits(mode, &flags, &[a, b]),
                        expected,
                        "{} {a} {b}",
                        mode.words
                    );
                }
            }
        }
    }

    /// Every flag refuses values that no command can use: empty paths, numbers that are not finite,
    /// a 0 that means nothing, and a second value of what has one.
    ///
    /// # Panics
    /// Where one is taken.
    pub fn check_values(&self) {
        for mode in self.modes {
            let flags = self.flags(mode);
            for arg in flags.iter().filter(|arg| arg.get_action().takes_values()) {
                let (flag, kind) = (name(arg), arg.get_value_parser().type_id());
                let companions = mode.completed(vec![&flag]).swap_remove(0).into_iter().skip(1);
                let companion: Vec<OsString> =
                    companions.flat_map(|other| self.words(find(&flags, other))).collect();
                let admits = |value: OsString| {
                    let typed = once(OsString::from(&flag)).chain(repeat_n(value, count(arg)));
                    self.parses(mode, companion.iter().cloned().chain(typed).collect())
                };
                if kind == value_parser!(PathBuf).type_id() {
                    assert!(!admits(OsString::new()), "{} {flag} ''", mode.words);
                    #[cfg(unix)]
                    assert!(
                        !admits(std::os::unix::ffi::OsStringExt::from_vec(b"a\xff".to_vec())),
                        "{} {flag} a\\xff",
                        mode.words
                    );
                }
                let floats: [ValueParser; 2] =
                    [value_parser!(f64).into(), value_parser!(f32).into()];
                if floats.iter().any(|float| kind == float.type_id()) {
                    for value in ["nan", "inf", "-inf"] {
                        assert!(!admits(value.into()), "{} {flag} {value}", mode.words);
                    }
                }
                let is_number = ["x", "-", "1.5.2"].iter().all(|value| !admits((*value).into()))
                    && admits("1".into());
                if is_number && !list(self.may_be_zero).any(|name| name == flag) {
                    assert!(!admits("0".into()), "{} {flag} 0", mode.words);
                }
                if matches!(arg.get_action(), ArgAction::Set) {
                    let twice = [companion.clone(), self.words(arg), self.words(arg)].concat();
                    assert!(!self.parses(mode, twice), "{} {flag} {flag}", mode.words);
                }
            }
        }
    }

    /// All flags of a mode's command but those that are typed anyway.
    fn flags(&self, mode: &Mode) -> Vec<Arg> {
        let mut command = (self.definition)();
        command.build();
        for word in list(mode.words) {
            match command.find_subcommand(word) {
                Some(found) => command = found.clone(),
                None => break,
            }
        }
        let own = command.get_arguments().filter(|arg| {
            arg.get_long().is_some_and(|long| {
                long != "help" && long != "version" && !mode.words.contains(&format!("--{long}"))
            })
        });
        own.cloned().collect()
    }

    fn parses(&self, mode: &Mode, words: Vec<OsString>) -> bool {
        let call = once("program").chain(list(mode.words)).map(OsString::from).chain(words);
        (self.takes)(call.collect()).unwrap_or_else(|error| {
            assert_eq!(error.exit_code(), USAGE, "{error}");
            false
        })
    }

    /// Whether these flags can be typed together, with what they need.
    fn admits(&self, mode: &Mode, flags: &[Arg], typed: &[&str]) -> bool {
        let calls = mode.completed(typed.to_vec());
        calls.into_iter().any(|call| {
            self.parses(
                mode,
                call.into_iter().flat_map(|flag| self.words(find(flags, flag))).collect(),
            )
        })
    }

    /// A flag with a value that makes sense.
    fn words(&self, arg: &Arg) -> Vec<OsString> {
        let flag = name(arg);
        if !arg.get_action().takes_values() {
            return vec![flag.into()];
        }
        let given =
            self.values.iter().find(|(of, _)| *of == flag).map(|(_, value)| (*value).to_owned());
        let possible =
            || arg.get_possible_values().first().map(|value| value.get_name().to_owned());
        let value = given.or_else(possible).unwrap_or_else(|| "1".to_owned());
        once(flag.into()).chain(repeat_n(value.into(), count(arg))).collect()
    }
}

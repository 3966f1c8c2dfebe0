//! No file of a crate imports one that imports it in turn, be it by way of others.
//!
//! An import is a path to another file of the crate, in a `use` or in the code. A name that a
//! module only passes on (`pub use`) is imported from where it stands, and a module that declares
//! its children or passes on their names does not import them. What is there for tests alone does
//! not count.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::{Peekable, once};

use proc_macro2::{Delimiter, LexError, TokenStream, TokenTree, token_stream::IntoIter};

/// The way to a module from the root of its crate.
type Module = Vec<String>;

/// A file of a crate: its path below `src`, and what stands in it.
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
}

/// An import that may close a circle, as both files are one thing: the file, the file that it
/// imports, why.
pub(super) type Exception = (&'static str, &'static str, &'static str);

/// One circle for every knot of files that import each other, each import with a name that it is
/// for; an exception that excuses nothing.
///
/// # Errors
/// A text that is no Rust.
pub(super) fn circles(
    sources: &[Source],
    exceptions: &[Exception],
) -> Result<Vec<String>, LexError> {
    // a program beside the library is a crate of its own
    let has_library = sources.iter().any(|source| source.file == "lib.rs");
    let of_crate = || sources.iter().filter(|source| !(has_library && source.file == "main.rs"));
    let modules: BTreeMap<Module, &str> =
        of_crate().filter_map(|source| Some((module(&source.file)?, &*source.file))).collect();
    let mut scans = BTreeMap::new();
    let mut for_tests = BTreeSet::new();
    for source in of_crate() {
        if let Some(module) = module(&source.file) {
            let mut scan = Scan {
                modules: &modules,
                paths: Vec::new(),
                passed_on: BTreeMap::new(),
                words: BTreeSet::new(),
            };
            scan.tokens(source.text.parse()?, &module, &mut for_tests);
            scans.insert(module, scan);
        }
    }
    scans.retain(|module, _| {
        !(0..=module.len()).any(|length| for_tests.contains(&module[..length]))
    });
    let mut imports = imports(&scans);
    let mut problems = Vec::new();
    for (from, to, _) in exceptions {
        let excused = imports.get_mut(*from).is_some_and(|names| names.remove(*to).is_some());
        if !excused {
            problems.push(format!("{from} does not import {to}: an exception for nothing"));
        }
    }
    let mut seen = BTreeSet::new();
    for file in imports.keys() {
        if let Some(circle) =
            (!seen.contains(file)).then(|| shortest_circle(file, &imports)).flatten()
        {
            seen.extend(
                reached(file, &imports)
                    .into_iter()
                    .filter(|other| reached(other, &imports).contains(file)),
            );
            let steps = circle.iter().zip(circle.iter().skip(1).chain(once(&circle[0])));
            let told: Vec<_> = steps
                .map(|(from, to)| format!("{from} uses {} of {to}", imports[*from][*to]))
                .collect();
            problems.push(told.join(", "));
        }
    }
    Ok(problems)
}

/// The module that a file holds; `None` for another program.
fn module(file: &str) -> Option<Module> {
    let mut names: Module = file.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    match (names.len(), names.last()?.as_str()) {
        (1, "lib" | "main") | (2.., "mod") => drop(names.pop()),
        _ if names[0] == "bin" => return None,
        _ => {}
    }
    Some(names)
}

/// What one file refers to.
struct Scan<'a> {
    modules: &'a BTreeMap<Module, &'a str>,
    /// Paths from the root of the crate.
    paths: Vec<Vec<String>>,
    /// Names that `pub use` passes on, with the paths that they stand for.
    passed_on: BTreeMap<String, Vec<String>>,
    /// All words outside of `use`.
    words: BTreeSet<String>,
}

impl Scan<'_> {
    /// Reads the tokens of a module; adds the modules that are for tests alone to `for_tests`.
    fn tokens(&mut self, tokens: TokenStream, module: &[String], for_tests: &mut BTreeSet<Module>) {
        let mut tokens = tokens.into_iter().peekable();
        // colons right before the token
        let (mut public, mut colons_before) = (false, 0);
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if attribute(&mut tokens).is_some_and(|text| {
                        text == "cfg(test)" || text.starts_with("cfg(all(test,")
                    }) {
                        for_tests.extend(skip_item(&mut tokens).map(|name| below(module, &name)));
                    }
                }
                TokenTree::Ident(word) if word == "pub" => {
                    public = true;
                    let is_scope = |token: &TokenTree| {
                        matches!(
                            token,
                            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis
                        )
                    };
                    tokens.next_if(is_scope);
                    continue;
                }
                TokenTree::Ident(word) if word == "use" => {
                    for (path, name) in tree(&mut tokens) {
                        let Some(path) = self.absolute(path, module) else { continue };
                        if public {
                            self.passed_on.insert(name, path);
                        } else {
                            self.paths.push(path);
                        }
                    }
                }
                TokenTree::Ident(word) if word == "mod" => {
                    let name = tokens.next().map(|name| name.to_string()).unwrap_or_default();
                    if let Some(TokenTree::Group(body)) =
                        tokens.next_if(|token| matches!(token, TokenTree::Group(_)))
                    {
                        self.tokens(body.stream(), &below(module, &name), for_tests);
                    }
                }
                TokenTree::Ident(word) => {
                    let mut path = vec![word.to_string()];
                    while colons(&mut tokens) {
                        let Some(TokenTree::Ident(next)) =
                            tokens.next_if(|token| matches!(token, TokenTree::Ident(_)))
                        else {
                            break;
                        };
                        path.push(next.to_string());
                    }
                    self.words.extend(path.iter().cloned());
                    if path.len() > 1 && colons_before < 2 {
                        self.paths.extend(self.absolute(path, module));
                    }
                }
                TokenTree::Group(group) => self.tokens(group.stream(), module, for_tests),
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons_before += 1;
                    continue;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            (public, colons_before) = (false, 0);
        }
    }

    /// A path as seen in a module, as one from the root; `None` if it leads out of the crate.
    fn absolute(&self, path: Vec<String>, module: &[String]) -> Option<Vec<String>> {
        let mut base = module.to_vec();
        let mut rest = path.into_iter().peekable();
        match rest.peek()?.as_str() {
            "crate" => (base, _) = (Vec::new(), rest.next()),
            "self" => drop(rest.next()),
            "super" => {
                while rest.next_if(|word| word == "super").is_some() {
                    base.pop();
                }
            }
            child if self.modules.contains_key(&below(module, child)) => {}
            _ => return None,
        }
        Some(base.into_iter().chain(rest).collect())
    }
}

fn below(module: &[String], name: &str) -> Module {
    module.iter().cloned().chain(once(name.to_owned())).collect()
}

/// What stands in the brackets after `#` or `#!`, without spaces.
fn attribute(tokens: &mut Peekable<IntoIter>) -> Option<String> {
    tokens.next_if(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!'));
    let group = tokens.next_if(|token| matches!(token, TokenTree::Group(_)))?;
    let TokenTree::Group(group) = group else { return None };
    Some(group.stream().to_string().replace(' ', ""))
}

/// Passes over an item, to its `;` or its braces. Gives its name if it is a module in a file of its
/// own.
fn skip_item(tokens: &mut Peekable<IntoIter>) -> Option<String> {
    let (mut is_module, mut name) = (false, None);
    for token in tokens {
        match token {
            TokenTree::Ident(word) if word == "mod" => is_module = true,
            TokenTree::Ident(word) if is_module => name = Some(word.to_string()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return None,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return name,
            _ => {}
        }
    }
    None
}

/// Passes over `::`, if it comes next.
fn colons(tokens: &mut Peekable<IntoIter>) -> bool {
    let is_colon =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':' );
    let mut ahead = tokens.clone();
    let are_next =
        ahead.next().as_ref().is_some_and(is_colon) && ahead.next().as_ref().is_some_and(is_colon);
    if are_next {
        *tokens = ahead;
    }
    are_next
}

/// The paths of a `use`, each with the name that it is given; up to its `;` or to the end of a
/// group.
fn tree(tokens: &mut Peekable<IntoIter>) -> Vec<(Vec<String>, String)> {
    let (mut paths, mut path) = (Vec::new(), Vec::new());
    let mut name = String::new();
    let mut end = |path: &mut Vec<String>, name: &mut String| {
        // `a::{self}` is `a`
        if path.len() > 1 {
            path.pop_if(|last| last == "self");
        }
        if !path.is_empty() {
            let last = path.last().cloned().unwrap_or_default();
            paths.push((
                std::mem::take(path),
                if name.is_empty() { last } else { std::mem::take(name) },
            ));
        }
    };
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "as" => {
                name = tokens.next().map(|name| name.to_string()).unwrap_or_default()
            }
            TokenTree::Ident(word) => path.push(word.to_string()),
            TokenTree::Group(group) => {
                let start = std::mem::take(&mut path);
                for (mut inner, mut name) in tree(&mut group.stream().into_iter().peekable()) {
                    inner.splice(0..0, start.iter().cloned());
                    name = if name == "self" { String::new() } else { name };
                    end(&mut inner, &mut name);
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ',' => end(&mut path, &mut name),
            TokenTree::Punct(punct) if punct.as_char() == ';' => break,
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    end(&mut path, &mut name);
    paths
}

/// For each file those that it imports, each with a name that it is for.
type Imports<'a> = BTreeMap<&'a str, BTreeMap<&'a str, String>>;

/// How often a name may be passed on.
const MOST_STEPS: usize = 8;

fn imports<'a>(scans: &BTreeMap<Module, Scan<'a>>) -> Imports<'a> {
    let mut imports = BTreeMap::new();
    for (module, scan) in scans {
        let mut found = BTreeMap::new();
        // a name of a child is only passed on, unless the code has a use for it
        let used = scan
            .passed_on
            .iter()
            .filter(|(name, path)| !path.starts_with(module) || scan.words.contains(*name));
        for path in scan.paths.iter().chain(used.map(|(_, path)| path)) {
            if let Some(file) =
                holder(path, scans, MOST_STEPS).filter(|file| *file != scan.modules[module])
            {
                found.entry(file).or_insert_with(|| path.last().cloned().unwrap_or_default());
            }
        }
        imports.insert(scan.modules[module], found);
    }
    imports
}

/// The file in which the end of a path stands, or the last one on the way that is known.
fn holder<'a>(
    path: &[String],
    scans: &BTreeMap<Module, Scan<'a>>,
    steps: usize,
) -> Option<&'a str> {
    let length = (0..=path.len()).rev().find(|length| scans.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(length);
    let scan = scans.get(module)?;
    let target = rest.first().filter(|_| steps > 0).and_then(|name| scan.passed_on.get(name));
    match target {
        Some(target) => holder(&[target, &rest[1..]].concat(), scans, steps - 1),
        None => scan.modules.get(module).copied(),
    }
}

/// All files that a file imports, directly or not.
fn reached<'a>(file: &str, imports: &Imports<'a>) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![file]);
    while let Some(file) = open.pop() {
        for next in imports.get(file).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(*next) {
                open.push(next);
            }
        }
    }
    seen
}

/// The shortest way from a file back to itself.
fn shortest_circle<'a>(file: &'a str, imports: &Imports<'a>) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![file]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in imports.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
                if *next == file {
                    return Some(way);
                }
                if seen.insert(*next) {
                    longer.push(way.iter().copied().chain(once(*next)).collect());
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)], exceptions: &[Exception]) -> Vec<String> {
        let source =
            |&(file, text): &(&str, &str)| Source { file: file.to_owned(), text: text.to_owned() };
        circles(&files.iter().map(source).collect::<Vec<_>>(), exceptions).unwrap()
    }

    #[test]
    fn files_that_import_each_other_are_found_with_what_they_use() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use std::fmt::{self, Debug};\nuse crate::b::{self, Other as Renamed};"),
            ("b.rs", "fn f(value: super::c::Third) {}"),
            ("c.rs", "pub struct Third;\nfn g() { crate::a::first() }"),
        ];
        assert_eq!(
            found(&files, &[]),
            ["a.rs uses b of b.rs, b.rs uses Third of c.rs, c.rs uses first of a.rs"]
        );
        assert_eq!(found(&files[..3], &[]), [""; 0]);
    }

    #[test]
    fn each_knot_is_told_once() {
        let files = [
            ("main.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b;"),
            ("b.rs", "use crate::{a, c};"),
            ("c.rs", "use crate::b;"),
            ("d.rs", "use crate::c::d::*;"),
        ];
        assert_eq!(found(&files, &[]), ["a.rs uses b of b.rs, b.rs uses a of a.rs"]);
    }

    #[test]
    fn comments_texts_and_tests_do_not_count() {
        let a = "//! See [`b`](crate::b).\nuse crate::b::f;\nconst TEXT: &str = \"crate::b::f\";";
        let b = "// use crate::a;\nconst TEXT: &str = \"use crate::a;\";\n#[cfg(test)]\nuse \
            crate::a;\n#[cfg(test)]\nmod tests { use crate::a; }";
        let fixtures = "use crate::a;\nuse crate::b;";
        let files = [
            ("lib.rs", "mod a; mod b;\n#[cfg(test)]\nmod fixtures;"),
            ("a.rs", a),
            ("b.rs", b),
            ("fixtures.rs", fixtures),
        ];
        assert_eq!(found(&files, &[]), [""; 0]);
        let used = [("b.rs", "use crate::fixtures::x;"), files[0], files[1], files[3]];
        assert_eq!(found(&used, &[]), [""; 0]);
    }

    #[test]
    fn a_name_that_is_passed_on_is_imported_from_where_it_stands() {
        let root = "mod a; mod b;\npub use a::{A, inner::Deep as Deeper};\npub use b::B;";
        let files = [
            ("lib.rs", root),
            ("a/mod.rs", "pub mod inner;\nuse crate::B;"),
            ("a/inner.rs", ""),
            ("b.rs", "use crate::A;"),
        ];
        assert_eq!(found(&files, &[]), ["a/mod.rs uses B of b.rs, b.rs uses A of a/mod.rs"]);
        let deeper = [
            files[0],
            ("a/mod.rs", "pub mod inner;"),
            ("a/inner.rs", "use crate::B;"),
            ("b.rs", "use crate::Deeper;"),
        ];
        assert_eq!(
            found(&deeper, &[]),
            ["a/inner.rs uses B of b.rs, b.rs uses Deeper of a/inner.rs"]
        );
    }

    #[test]
    fn a_parent_that_has_a_use_for_its_child_imports_it() {
        let child = ("child.rs", "pub struct Child(super::Shared);");
        let parent = |text| found(&[("lib.rs", text), child], &[]);
        assert_eq!(parent("mod child;\npub use child::Child;\npub struct Shared;"), [""; 0]);
        let told = "child.rs uses Shared of lib.rs, lib.rs uses Child of child.rs";
        assert_eq!(
            parent("mod child;\npub use child::Child;\npub struct Shared;\nfn f(child: Child) {}"),
            [told]
        );
        assert_eq!(parent("mod child;\nuse child::Child;\npub struct Shared;"), [told]);
        assert_eq!(
            parent("mod child;\npub struct Shared;\nfn f() -> child::Child { todo!() }"),
            [told]
        );
    }

    #[test]
    fn modules_within_a_file_are_part_of_it() {
        let a = "mod inner { use super::super::b::B; fn f() { super::g() } }";
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", "use crate::a::inner;")];
        assert_eq!(found(&files, &[]), ["a.rs uses B of b.rs, b.rs uses inner of a.rs"]);
    }

    #[test]
    fn an_exception_excuses_one_import_and_must_be_needed() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&files, &[("a.rs", "b.rs", "one thing")]), [""; 0]);
        assert_eq!(
            found(&files[..2], &[("b.rs", "a.rs", "")]),
            ["b.rs does not import a.rs: an exception for nothing"]
        );
    }

    #[test]
    fn a_program_beside_the_library_is_no_part_of_it() {
        let files = [
            ("lib.rs", "mod a;\npub use a::A;"),
            ("a.rs", ""),
            ("main.rs", "use own::A;\nfn g() { a::f() }"),
        ];
        assert_eq!(found(&files, &[]), [""; 0]);
        let used = [files[0], ("a.rs", "use crate::f;"), files[2], ("bin/tool.rs", "use own::A;")];
        assert_eq!(found(&used, &[]), [""; 0]);
    }
}

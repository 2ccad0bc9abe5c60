//! Reads sources as text for the tidy test: blanks what is no code, and finds words, paths, bodies and test code in it.

use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::Violation;

/// A file of the tree. `code` is its text with comments and literals blanked, byte for byte as long.
pub struct Source {
    pub path: String,
    pub text: String,
    pub code: String,
    /// The items that are compiled for tests only; all of it, if the file `is_test`.
    pub test_code: Vec<Range<usize>>,
    pub is_test: bool,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let code = blank(text);
        let is_test = !path.starts_with("src/");
        let test_code = test_regions(&code);
        Source { path: path.to_owned(), text: text.to_owned(), code, test_code, is_test }
    }

    /// The path below `src/`, if it is there.
    pub fn inside(&self) -> Option<&str> {
        self.path.strip_prefix("src/")
    }

    pub fn room(&self) -> Option<&str> {
        self.inside().map(|inside| inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs"))
    }

    pub fn is_test_code(&self, at: usize) -> bool {
        self.is_test || self.test_code.iter().any(|region| region.contains(&at))
    }

    pub fn broken(&self, at: usize, rule: impl Into<String>, cure: &'static str) -> Violation {
        let line = self.text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        Violation { path: self.path.clone(), line, rule: rule.into(), cure }
    }
}

/// Replaces comments and the insides of literals by spaces; line ends stay.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_or_comment(bytes, at);
        code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end.max(at + 1);
    }
    String::from_utf8(code).expect("whole literals and comments are blanked, so what is left is whole too")
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none does.
fn literal_or_comment(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let follows_name = at > 0 && is_name(bytes[at - 1]);
    match rest[0] {
        b'/' if rest.starts_with(b"//") => at + until(rest, |rest| rest[0] == b'\n'),
        b'/' if rest.starts_with(b"/*") => at + block_comment(rest),
        b'"' => at + quoted(rest, b'"'),
        b'b' | b'c' | b'r' if !follows_name => raw_string(rest).map_or(at, |length| at + length),
        b'\'' if rest.get(1) == Some(&b'\\') => at + quoted(rest, b'\''),
        b'\'' => at + plain_char(rest).unwrap_or(0),
        _ => at,
    }
}

fn until(rest: &[u8], stop: impl Fn(&[u8]) -> bool) -> usize {
    (0..rest.len()).find(|&at| stop(&rest[at..])).unwrap_or(rest.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of a raw string with its prefix; none if it is a name that begins alike.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let letters = until(rest, |rest| !rest[0].is_ascii_alphabetic());
    if !matches!(&rest[..letters], b"r" | b"br" | b"cr") {
        return None;
    }
    let hashes = until(&rest[letters..], |rest| rest[0] != b'#');
    let open = letters + hashes;
    (rest.get(open) == Some(&b'"')).then_some(())?;
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let inside = &rest[open + 1..];
    Some((open + 1 + until(inside, |rest| rest.starts_with(&close)) + close.len()).min(rest.len()))
}

/// The length of a character literal without an escape; none if it is a lifetime.
fn plain_char(rest: &[u8]) -> Option<usize> {
    let width = match rest.get(1)? {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

pub fn identifier(text: &str) -> &str {
    &text[..text.bytes().position(|byte| !is_name(byte)).unwrap_or(text.len())]
}

/// Where a whole word stands.
pub fn words_of<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let end = at + word.len();
        (at == 0 || !is_name(bytes[at - 1])) && (end == bytes.len() || !is_name(bytes[end]))
    })
}

/// Where a path begins with this name and goes on.
pub fn paths<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_inner = |before: &str| {
        before
            .strip_suffix("::")
            .is_some_and(|before| before.ends_with(|last: char| last == '>' || last.is_alphanumeric()))
    };
    words_of(code, name).filter(move |&at| !is_inner(&code[..at]) && code[at + name.len()..].starts_with("::"))
}

/// Where a name is imported as a whole, or is the last part of an import.
pub fn plain_uses<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    words_of(code, name).filter(move |&at| {
        let after = code[at + name.len()..].trim_start();
        let before = code[..at].trim_end();
        let is_import = before.ends_with("use") || before.ends_with("crate") && before.contains("extern");
        let is_used_path = name.contains("::") && !code[at + name.len()..].starts_with("::");
        (is_import && (after.starts_with(';') || after.starts_with("as "))) || is_used_path
    })
}

/// The braces of the item that begins at `at`; none if it ends with a semicolon or a comma.
pub fn body_after(code: &str, at: usize) -> Option<Range<usize>> {
    let mut depth = 0;
    for (offset, byte) in code[at..].bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' | b',' if depth == 0 => return None,
            b'}' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(at + offset..at + offset + braces(&code[at + offset..])),
            _ => {}
        }
    }
    None
}

/// The length of what stands between the first brace and its partner, both included.
fn braces(code: &str) -> usize {
    let mut depth = 0;
    for (offset, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return offset + 1;
        }
    }
    code.len()
}

/// The items that are compiled for tests only.
fn test_regions(code: &str) -> Vec<Range<usize>> {
    let mut regions = Vec::new();
    for (at, _) in code.match_indices("#[cfg(").chain(code.match_indices("#[test]")) {
        let attribute = &code[at..at + until(&code.as_bytes()[at..], |rest| rest[0] == b'\n')];
        let is_for_tests = words_of(attribute, "test").next().is_some() && !attribute.contains("not(test");
        let item = at + code[at..].find(']').map_or(0, |end| end + 1);
        if is_for_tests && let Some(body) = body_after(code, item) {
            regions.push(at..body.end);
        }
    }
    regions
}

/// The names of modules that are files of their own and are compiled for tests only.
fn test_modules(code: &str) -> Vec<String> {
    let tails = code.match_indices("#[cfg(test)]").map(|(at, found)| code[at + found.len()..].trim_start());
    tails
        .map(|tail| tail.strip_prefix("pub(crate) ").or(tail.strip_prefix("pub ")).unwrap_or(tail))
        .filter_map(|tail| tail.strip_prefix("mod "))
        .filter(|tail| tail[identifier(tail).len()..].starts_with(';'))
        .map(|tail| identifier(tail).to_owned())
        .collect()
}

pub fn read_tree(root: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    for place in ["src", "tests", "benches", "examples", "schemas", "build", "build.rs", "Cargo.toml", "daybook.toml"] {
        read_into(root, place, &mut sources);
    }
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        read_into(root, document, &mut sources);
    }
    mark_test_modules(&mut sources);
    sources
}

fn read_into(root: &Path, place: &str, sources: &mut Vec<Source>) {
    let path = root.join(place);
    if path.is_dir() {
        let entries = fs::read_dir(&path).expect("the tree can be read");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("the tree can be read").file_name()).collect();
        names.sort();
        let names = names.iter().filter_map(|name| name.to_str()).filter(|name| *name != "__pycache__");
        names.for_each(|name| read_into(root, &format!("{place}/{name}"), sources));
    } else if [".rs", ".md", ".py", ".toml", ".json"].iter().any(|end| place.ends_with(end)) && path.exists() {
        let text = fs::read_to_string(&path).expect("sources are UTF-8");
        sources.push(Source::new(place, &text));
    }
}

/// A file behind `#[cfg(test)] mod name;` is test code from end to end.
pub fn mark_test_modules(sources: &mut [Source]) {
    let mut test_paths = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".rs")) {
        let whole = source.path.trim_end_matches(".rs");
        let (parent, name) = whole.rsplit_once('/').unwrap_or(("", whole));
        let directory = if ["mod", "lib", "main"].contains(&name) { parent } else { whole };
        test_paths.extend(test_modules(&source.code).iter().map(|module| format!("{directory}/{module}")));
    }
    for source in sources {
        let is_below = |path: &String| {
            source.path.strip_prefix(path.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if test_paths.iter().any(is_below) {
            source.is_test = true;
        }
    }
}

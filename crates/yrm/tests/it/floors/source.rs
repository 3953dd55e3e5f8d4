//! One source file, as the floors see it.

use std::collections::BTreeSet;

/// A source file's code: no comments, no contents of literals, no unit tests.
pub(super) struct Source {
    /// Relative to the crate's `src`.
    pub(super) path: String,
    pub(super) code: String,
}

impl Source {
    pub(super) fn new(path: String, text: &str) -> Self {
        Self { path, code: without_unit_tests(&without_comments_and_literals(text)) }
    }

    /// The module under the crate's root that this file belongs to.
    pub(super) fn module(&self) -> &str {
        let path = self.path.trim_end_matches(".rs");
        path.split_once('/').map_or(path, |(first, _)| first)
    }

    /// Whether this is that module's file (`a/b`), or in its folder.
    pub(super) fn is_in(&self, module: &str) -> bool {
        self.path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// Which of these texts the code contains.
    pub(super) fn uses(&self, texts: &[&'static str]) -> impl Iterator<Item = &'static str> {
        texts.iter().copied().filter(|text| self.code.contains(text))
    }

    /// Names right under the crate's root that the code reaches by `crate::`, `yrm::` (the
    /// binary) or enough `super::`.
    pub(super) fn imports(&self) -> BTreeSet<String> {
        let up_to_root = "super::".repeat(self.depth());
        let mut names = BTreeSet::new();
        for root in ["crate::", "yrm::", &up_to_root] {
            for (start, _) in self.code.match_indices(root).filter(|_| !root.is_empty()) {
                let before = self.code[..start].chars().next_back();
                if before.is_none_or(|before| !(before.is_alphanumeric() || before == '_' || before == ':')) {
                    names.extend(first_names(&self.code[start + root.len()..]));
                }
            }
        }
        names
    }

    /// How many `super` lead from this file's module to the crate's root.
    fn depth(&self) -> usize {
        let slashes = self.path.matches('/').count();
        match self.path.as_str() {
            "lib.rs" | "main.rs" => 0,
            path if path.ends_with("/mod.rs") => slashes,
            _ => slashes + 1,
        }
    }
}

/// The first name of a path, or of each path in a `{…}` group.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(name(&group[start..index]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(name(&group[start..index]));
                start = index + 1;
            }
            _ => {}
        }
    }
    names
}

fn without_comments_and_literals(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            literal_length(rest, '"')
        } else if first == '\'' && is_character(rest) {
            literal_length(rest, '\'')
        } else if let Some(length) = raw_literal_length(rest, code.chars().next_back()) {
            length
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// A character literal, not a lifetime.
fn is_character(rest: &str) -> bool {
    let mut characters = rest.chars().skip(1);
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

fn literal_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_literal_length(rest: &str, before: Option<char>) -> Option<usize> {
    let after = rest.strip_prefix('r').filter(|_| !before.is_some_and(|c| c.is_alphanumeric() && c != 'b'))?;
    let hashes = after.chars().take_while(|c| *c == '#').count();
    after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let body = 1 + hashes + 1;
    Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
}

fn without_unit_tests(code: &str) -> String {
    let Some((before, after)) = code.split_once("#[cfg(test)]") else {
        return code.to_owned();
    };
    // The item ends at the brace that closes its first one, or at a semicolon before any.
    let mut depth = 0;
    let end = after.char_indices().find(|(_, character)| {
        depth += i32::from(*character == '{') - i32::from(*character == '}');
        depth == 0 && matches!(character, '}' | ';')
    });
    let rest = end.map_or("", |(index, _)| &after[index + 1..]);
    before.to_owned() + &without_unit_tests(rest)
}

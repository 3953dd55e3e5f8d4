//! Which source file of a crate names which other, and the circles of that.
//!
//! A file names another one by a path that leads into it: `crate::store::key::Key`, `super::plan`, or by the name of
//! a module that lies below or was imported. A name that a module only passes on (`pub use self::key::Key`) leads to
//! the file where it stands, so a parent that declares and passes on names nobody by that. A type's file that uses methods
//! which another file gives the type names that file. Unit tests do not count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::source::Source;

/// A module, as the names from the crate's root to it.
type Module = Vec<String>;

/// A path in the code, as its names.
type Names = Vec<String>;

/// Which file names which others. A file is its place in `paths`.
pub(super) struct Graph {
    paths: Vec<String>,
    named: Vec<BTreeSet<usize>>,
}

/// The modules of a crate, and what each imports under which name.
struct Modules<'a> {
    files: BTreeMap<Module, usize>,
    imports: BTreeMap<Module, BTreeMap<String, Names>>,
    sources: &'a [&'a Source],
}

/// One name that a `use` brings in.
struct Import {
    path: Names,
    name: String,
}

impl Graph {
    /// Of one crate's sources.
    pub(super) fn of(sources: &[Source]) -> Self {
        let has_lib = sources.iter().any(|source| source.path == "lib.rs");
        // Nothing names a binary beside its library.
        let sources: Vec<&Source> = sources.iter().filter(|source| !has_lib || source.path != "main.rs").collect();
        let modules = Modules::of(&sources);
        let named = modules.files.iter().map(|(module, &file)| (file, modules.named_by(module, file)));
        let mut named: BTreeMap<usize, BTreeSet<usize>> = named.collect();
        for (home, file) in modules.handed_on() {
            named.entry(home).or_default().insert(file);
        }
        Self {
            paths: sources.iter().map(|source| source.path.clone()).collect(),
            named: (0..sources.len()).map(|file| named.get(&file).cloned().unwrap_or_default()).collect(),
        }
    }

    /// A line for every knot of files that reach each other: the shortest circle in it, and how many files it has.
    pub(super) fn circles(&self) -> Vec<String> {
        let reached: Vec<BTreeSet<usize>> = (0..self.paths.len()).map(|file| self.reached_from(file)).collect();
        let (mut told, mut circles) = (BTreeSet::new(), Vec::new());
        for file in 0..self.paths.len() {
            if !reached[file].contains(&file) || told.contains(&file) {
                continue;
            }
            let knot: BTreeSet<usize> =
                reached[file].iter().copied().filter(|other| reached[*other].contains(&file)).collect();
            let shortest = knot.iter().filter_map(|&start| self.way_round(start)).min_by_key(Vec::len);
            let circle: Vec<&str> = shortest.iter().flatten().map(|&file| self.paths[file].as_str()).collect();
            let all: Vec<&str> = knot.iter().map(|&file| self.paths[file].as_str()).collect();
            let more = if knot.len() + 1 > circle.len() {
                format!(" (a knot of {} files: {})", knot.len(), all.join(", "))
            } else {
                String::new()
            };
            circles.push(format!("{}{more}", circle.join(" → ")));
            told.extend(knot);
        }
        circles
    }

    /// Every file that is named by this one, or by one that is.
    fn reached_from(&self, file: usize) -> BTreeSet<usize> {
        let (mut reached, mut next) = (BTreeSet::new(), vec![file]);
        while let Some(file) = next.pop() {
            next.extend(self.named[file].iter().copied().filter(|named| reached.insert(*named)));
        }
        reached
    }

    /// The shortest way from a file back to itself.
    fn way_round(&self, start: usize) -> Option<Vec<usize>> {
        let (mut came_from, mut next) = (BTreeMap::new(), VecDeque::from([start]));
        while let Some(file) = next.pop_front() {
            for &named in &self.named[file] {
                if named == start {
                    let mut way = vec![start, file];
                    while way[way.len() - 1] != start {
                        way.push(came_from[&way[way.len() - 1]]);
                    }
                    way.reverse();
                    return Some(way);
                }
                came_from.entry(named).or_insert_with(|| {
                    next.push_back(named);
                    file
                });
            }
        }
        None
    }
}

impl<'a> Modules<'a> {
    fn of(sources: &'a [&'a Source]) -> Self {
        let files = sources.iter().enumerate().map(|(file, source)| (module_of(&source.path), file)).collect();
        let imports = sources.iter().map(|source| {
            let names = uses(&source.code).into_iter().flat_map(|used| parse_use(&used));
            (module_of(&source.path), names.map(|import| (import.name, import.path)).collect())
        });
        Self { files, imports: imports.collect(), sources }
    }

    /// The files that a module's code names.
    fn named_by(&self, module: &Module, file: usize) -> BTreeSet<usize> {
        let code = &self.sources[file].code;
        let imports = &self.imports[module];
        let rest = without_uses(code);
        let mut paths = Vec::new();
        for (name, path) in imports {
            let leads_to_a_module = self.resolve(module, path).is_some_and(|(_, is_whole)| is_whole);
            // A module's name counts by what it is used for, a name that is only passed on not at all.
            let used_as_module = leads_to_a_module && paths_from(&rest, name).next().is_some();
            let is_passed_on = self.is_below(module, path) && !has_word(&rest, name);
            if !used_as_module && !is_passed_on {
                paths.push(path.clone());
            }
            if used_as_module {
                paths.extend(paths_from(&rest, name).map(|further| [&path[..], &further[1..]].concat()));
            }
        }
        let children = self.files.keys().filter(|child| child.len() == module.len() + 1 && child.starts_with(module));
        let children = children.map(|child| child[module.len()].as_str());
        let begins = ["crate", "self", "super"].into_iter().chain(children.filter(|name| !imports.contains_key(*name)));
        paths.extend(begins.flat_map(|begin| paths_from(&rest, begin)));
        let named = paths.iter().filter_map(|path| self.resolve(module, path)).map(|(file, _)| file);
        named.filter(|named| *named != file).collect()
    }

    /// The files to which a type's file hands calls on: they give the type methods that its own file uses.
    fn handed_on(&self) -> Vec<(usize, usize)> {
        let mut handed_on = Vec::new();
        for (module, &file) in &self.files {
            for Methods { of, names } in methods(&self.sources[file].code) {
                let Some((home, false)) = self.resolve_name(module, &of) else { continue };
                let code = &self.sources[home].code;
                let calls =
                    |name: &String| [".", "Self::"].iter().any(|before| code.contains(&format!("{before}{name}(")));
                if home != file && names.iter().any(calls) {
                    handed_on.push((home, file));
                }
            }
        }
        handed_on
    }

    /// The file in which a name stands that a module uses by itself.
    fn resolve_name(&self, module: &Module, name: &str) -> Option<(usize, bool)> {
        let import = self.imports[module].get(name)?;
        self.resolve(module, import)
    }

    /// Whether a path leads to a module below, or to what stands in one.
    fn is_below(&self, module: &Module, path: &Names) -> bool {
        let whole = || path.strip_prefix(&["crate".to_owned()][..])?.strip_prefix(&module[..]);
        let below = whole().unwrap_or_else(|| path.strip_prefix(&["self".to_owned()][..]).unwrap_or(path));
        below.first().is_some_and(|first| self.files.contains_key(&[&module[..], std::slice::from_ref(first)].concat()))
    }

    /// The file that a path leads into from a module, and whether it ends at the module itself. Names that a module
    /// has from elsewhere are followed.
    fn resolve(&self, module: &Module, path: &[String]) -> Option<(usize, bool)> {
        let (mut at, mut rest) = (module.clone(), path);
        let mut began = false;
        for _ in 0..64 {
            let Some((name, further)) = rest.split_first() else {
                return self.files.get(&at).map(|file| (*file, true));
            };
            match name.as_str() {
                "crate" => at = Module::new(),
                "self" => {}
                "super" => drop(at.pop()?),
                _ => {
                    let below = [&at[..], std::slice::from_ref(name)].concat();
                    if self.files.contains_key(&below) {
                        at = below;
                    } else if let Some(import) = self.imports.get(&at).and_then(|imports| imports.get(name)) {
                        return self.resolve_from(&at, &[&import[..], further].concat(), began);
                    } else if !began {
                        return None;
                    } else {
                        return self.files.get(&at).map(|file| (*file, false));
                    }
                }
            }
            (rest, began) = (further, true);
        }
        None
    }

    /// Follows what a module has imported; what comes from another crate leads nowhere.
    fn resolve_from(&self, module: &Module, path: &[String], began: bool) -> Option<(usize, bool)> {
        let begins_here = matches!(path[0].as_str(), "crate" | "self" | "super")
            || self.files.contains_key(&[&module[..], &path[..1]].concat());
        let foreign = || self.files.get(module).map(|file| (*file, false)).filter(|_| began);
        if begins_here { self.resolve(module, path) } else { foreign() }
    }
}

/// What an `impl` without a trait gives a type.
struct Methods {
    of: String,
    names: Vec<String>,
}

fn methods(code: &str) -> Vec<Methods> {
    let blocks = words(code, "impl").filter_map(|at| {
        let (head, body) = code[at + 4..].split_once('{')?;
        if has_word(head, "for") || !code[..at].trim_end().ends_with(['}', ';', ']']) && !code[..at].trim().is_empty() {
            return None;
        }
        let (mut depth, mut end) = (1, body.len());
        for (at, character) in body.char_indices() {
            depth += i32::from(character == '{') - i32::from(character == '}');
            if depth == 0 {
                end = at;
                break;
            }
        }
        let head = if head.starts_with('<') { head.split_once('>').map_or(head, |(_, head)| head) } else { head };
        let of: String = head.trim_start().chars().take_while(|c| is_name(*c)).collect();
        let names = words(&body[..end], "fn")
            .map(|at| body[at + 2..].trim_start().chars().take_while(|c| is_name(*c)).collect());
        Some(Methods { of, names: names.collect() })
    });
    blocks.collect()
}

/// The module that a file is.
fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if ["lib", "main"].contains(&path) { Module::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Where a word stands by itself, and not behind `::` or a dot.
fn words<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = usize> + 'c {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(|c| is_name(c) || matches!(c, ':' | '.' | '\'')) && !after.is_some_and(is_name)
    })
}

fn has_word(code: &str, word: &str) -> bool {
    words(code, word).next().is_some()
}

/// The paths in the code that begin with this name, of two names and more.
fn paths_from<'c>(code: &'c str, begin: &'c str) -> impl Iterator<Item = Names> + 'c {
    words(code, begin).filter_map(move |at| {
        let mut path = Names::new();
        let mut rest = &code[at..];
        loop {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            if end == 0 {
                break;
            }
            path.push(rest[..end].to_owned());
            let Some(further) = rest[end..].strip_prefix("::") else { break };
            rest = further;
        }
        (path.len() > 1).then_some(path)
    })
}

/// The texts between `use` and its semicolon.
fn uses(code: &str) -> Vec<String> {
    let starts = words(code, "use").filter(|&at| code[at + 3..].starts_with(char::is_whitespace));
    starts.filter_map(|at| Some(code[at + 3..].split_once(';')?.0.to_owned())).collect()
}

fn without_uses(code: &str) -> String {
    let (mut rest, mut kept) = (code, String::new());
    while let Some(at) = words(rest, "use").find(|&at| rest[at + 3..].starts_with(char::is_whitespace)) {
        kept.push_str(&rest[..at]);
        rest = rest[at..].split_once(';').map_or("", |(_, rest)| rest);
    }
    kept + rest
}

/// Every name that a `use` brings in, with the whole path that it stands for.
fn parse_use(text: &str) -> Vec<Import> {
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut imports = Vec::new();
    parse_tree(&Names::new(), &text, &mut imports);
    imports
}

fn parse_tree(before: &Names, text: &str, imports: &mut Vec<Import>) {
    let text = text.trim();
    if let Some((path, group)) = text.split_once('{') {
        let mut path_before = before.clone();
        path_before.extend(path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
        for part in split_group(group.trim_end().strip_suffix('}').unwrap_or(group)) {
            parse_tree(&path_before, part, imports);
        }
        return;
    }
    let (path, alias) = text.split_once(" as ").map_or((text, None), |(path, alias)| (path, Some(alias.trim())));
    let mut names = before.clone();
    names.extend(path.split("::").map(str::trim).filter(|name| !name.is_empty() && *name != "*").map(str::to_owned));
    if names.len() > 1 && names.last().is_some_and(|name| name == "self") {
        names.pop();
    }
    let Some(last) = names.last().cloned() else { return };
    imports.push(Import { name: alias.map_or(last, str::to_owned), path: names });
}

/// The parts between commas that stand in no further group.
fn split_group(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

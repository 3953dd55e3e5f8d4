//! No file has to be read together with those that it names: there is no circle of files, in any crate. A type's file
//! that calls methods which another file gives the type names that file, too.

use std::path::Path;

use super::graph::Graph;
use super::read_sources;
use super::source::Source;

/// Whoever reads one file of a circle has to read them all.
#[test]
fn no_files_name_each_other_in_a_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "../rpmmd/src", "../client/src", "../forge/src", "../../bench/src"];
    let circles = folders.iter().flat_map(|folder| {
        let circles = Graph::of(&read_sources(&root.join(folder))).circles();
        circles.into_iter().map(move |circle| format!("{folder}: {circle}"))
    });
    let circles: Vec<String> = circles.collect();
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn every_kind_of_circle_is_seen_and_named() {
    let circles = |files: &[(&str, &str)]| {
        let mut sources = vec![Source::new("lib.rs".into(), "pub mod a; pub mod b; pub mod c;")];
        sources.extend(files.iter().map(|(path, text)| Source::new((*path).into(), text)));
        Graph::of(&sources).circles().join("\n")
    };
    assert_eq!(circles(&[("a.rs", "use crate::b::B;"), ("b.rs", "use super::a::A;")]), "a.rs → b.rs → a.rs");
    let of_three =
        [("a.rs", "use crate::{b::{self, B}};"), ("b.rs", "fn f() { crate::c::f() }"), ("c.rs", "use crate::a;")];
    assert_eq!(circles(&of_three), "a.rs → b.rs → c.rs → a.rs");
    let parent_calls = [("a/mod.rs", "mod x; struct A; fn f() { x::f(); }"), ("a/x.rs", "use super::A;")];
    assert_eq!(circles(&parent_calls), "a/mod.rs → a/x.rs → a/mod.rs");
    let passed_on_and_used =
        [("a/mod.rs", "mod x; pub use self::x::X; pub fn f() -> X {}"), ("a/x.rs", "use super::f;")];
    assert_eq!(circles(&passed_on_and_used), "a/mod.rs → a/x.rs → a/mod.rs");
    let by_another_name =
        [("a.rs", "use crate::b::B;"), ("b.rs", "pub use crate::c::C as B;"), ("c.rs", "use crate::a;")];
    assert_eq!(circles(&by_another_name), "a.rs → c.rs → a.rs");
    let knot = [("a.rs", "use crate::b::B; use crate::c::C;"), ("b.rs", "use crate::a::A;"), ("c.rs", "use crate::a;")];
    assert_eq!(circles(&knot), "a.rs → b.rs → a.rs (a knot of 3 files: a.rs, b.rs, c.rs)");
    let by_a_method = [
        ("a.rs", "pub struct A; impl A { pub fn f(&self) { self.g() } }"),
        ("b.rs", "use super::a::A; impl A { fn g(&self) {} }"),
    ];
    assert_eq!(circles(&by_a_method), "a.rs → b.rs → a.rs");

    let method_of_its_own = [("a.rs", "pub struct A;"), ("b.rs", "use super::a::A; impl A { fn g(&self) {} }")];
    assert_eq!(
        circles(&method_of_its_own),
        "",
        "who adds a method that the type's own file does not use names it, and no more"
    );
    let declares = [("a/mod.rs", "mod x; pub use self::x::X; pub struct A;"), ("a/x.rs", "use super::A;")];
    let siblings = [("b/mod.rs", "mod x; mod y; pub use self::x::X;"), ("b/x.rs", ""), ("b/y.rs", "use super::X;")];
    let no_code = [("c.rs", "//! crate::a\n#[cfg(test)] mod tests { use crate::a::A; }")];
    assert_eq!(circles(&[&declares[..], &siblings, &no_code].concat()), "");
}

//! probe
mod forged;
mod repository;
mod tools;
mod tree;
use std::fs;
use repository::Repository;
use tools::Reference;

#[test]
fn probe() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.keep();
    for (path, rpm) in forged::all() {
        let path = dir.join("in").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, rpm.build()).unwrap();
    }
    let a = Reference::Newest.index(&dir.join("in"), &dir.join("new"));
    let b = Reference::Debian.index(&dir.join("in"), &dir.join("old"));
    eprintln!("{} {a:?}\n{b:?}", dir.display());
    let [a, b] = ["new", "old"].map(|n| Repository::read(&dir.join(n)));
    let (a, b) = (a.unwrap(), b.unwrap());
    eprintln!("{} {}\n{}", a.packages.len(), forged::all().len(), a.differences(&b).join("\n"));
    panic!();
}

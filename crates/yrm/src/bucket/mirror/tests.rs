use super::*;
use rpmmd::checksum::Sha256;

use crate::config::{Folders, Mirrors, Repositories, Rule, Trust};

fn policy(on: bool, rules: &[(&str, Option<bool>)]) -> Policy {
    let rule = |(folder, mirrorlist): &(&str, Option<bool>)| Rule {
        folders: vec![(*folder).to_owned()],
        mirrorlist: *mirrorlist,
        ..Rule::default()
    };
    let public_urls = vec!["https://a.example/repo".to_owned(), "https://b.example/c/repo".to_owned()];
    Policy {
        folders: Folders::default(),
        repositories: Repositories::Depth(1),
        compression: rpmmd::compress::Compression::Gz,
        retention: None,
        grace: std::time::Duration::from_hours(72),
        max_package_bytes: 1,
        concurrency: 1,
        single_writer: false,
        allow_shrink: false,
        sweep_interval: std::time::Duration::from_hours(6),
        audit_interval: std::time::Duration::from_mins(10),
        history: std::time::Duration::from_hours(400 * 24),
        on_conflict: config::OnConflict::Reject,
        trust: Trust { rules: rules.iter().map(rule).collect(), ..Trust::default() },
        mirrors: Mirrors { on, public_urls, name: None },
    }
}

#[test]
fn the_first_rule_for_a_folder_or_one_above_says_whether_the_mode_is_on() {
    let is_on = |policy: &Policy, dir| MirrorRules::new(policy).unwrap().is_on(&RepositoryDir::new(dir));
    assert!(!is_on(&policy(false, &[]), "el9") && is_on(&policy(true, &[]), ""));
    let some = policy(false, &[("el9/*", Some(false)), ("el9", Some(true)), ("el8", None)]);
    let dirs = ["el9", "el9/x86_64", "el9/x86_64/deep", "el8", "el7", ""];
    assert_eq!(dirs.map(|dir| is_on(&some, dir)), [true, false, false, false, false, false]);
    let all_but = policy(true, &[("el8", Some(false))]);
    assert_eq!(["el8", "el8/x", "el9"].map(|dir| is_on(&all_but, dir)), [false, false, true]);
    assert!(!MirrorRules::new(&policy(false, &[])).unwrap().is_on_anywhere());
    assert!(MirrorRules::new(&some).unwrap().is_on_anywhere());
}

#[test]
fn the_list_has_a_line_for_each_address_and_names_are_spelt_as_urls_spell_them() {
    let rules = MirrorRules::new(&policy(true, &[])).unwrap();
    let folder = MirrorFolder { revision: 7, repomd: Sha256::of(b""), key_id: None };
    let list = |dir| String::from_utf8(rules.list(&RepositoryDir::new(dir), &folder).to_vec()).unwrap();
    let lines = format!(
        "https://a.example/repo/c%2B%2B%20%C3%A9/repodata/{folder}/\n\
         https://b.example/c/repo/c%2B%2B%20%C3%A9/repodata/{folder}/\n"
    );
    assert_eq!(list("c++ é"), lines);
    assert!(list("").starts_with("https://a.example/repo/repodata/7-"));
    assert_eq!(MirrorFolder::named_by(lines.as_bytes()), Some(folder.clone()));
}

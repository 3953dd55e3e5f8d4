use super::*;
use crate::config::{Config, Low, Typed, settings};

fn shape(flags: &[(&str, &str)]) -> Shape {
    let flags = flags.iter().chain(&[("bucket", "./b")]);
    let flags = flags.map(|(name, text)| (settings::setting(name).unwrap(), (*text).to_owned())).collect();
    let low = Low::gather(&Typed { file: Some("/dev/null".into()), environment: Vec::new(), flags });
    let signs = Signs { fingerprints: vec!["AB".repeat(20)], key_name: Some("yrm".to_owned()) };
    Shape::of(&Config::of(&low).unwrap().0.policy, &signs)
}

#[test]
fn a_document_says_what_was_written_into_it() {
    let all = [
        ("repositories", "el9/*,tools"),
        ("compression", "zst"),
        ("keep-at-least", "3"),
        ("grace", "3d"),
        ("on-conflict", "replace"),
        ("mirrorlist", "true"),
        ("public-url", "https://a.example/repo/,https://b.example/repo"),
        ("keyring", "bucket:keys,/etc/yrm/keys"),
        ("signatures", "warn"),
    ];
    let mut shape = shape(&all);
    let tables = "[[folder]]\nmatch = \"el9/*\"\nkeep-at-least = \"all\"\ncompression = \"gz\"\n[[folder]]\nmatch = \
                  [\"tools\"]\nnames = \"my-*\"\nprune-age-days = 7\non-conflict = \"reject\"\nsignatures = \"require\"\n";
    shape.folders = Shape::parse(&format!("schema = 1\n{tables}")).unwrap().folders;
    let text = shape.to_toml();
    assert_eq!(Shape::parse(&text).unwrap(), shape, "{text}");
    assert!(text.contains("grace = \"72h\"") && text.contains("prune-age-days = 60"), "{text}");
    assert!(text.contains("keyring = [\"bucket:keys\"]"), "{text}");
}

#[test]
fn two_spellings_of_one_value_agree_and_two_values_do_not() {
    let (days, hours) = (shape(&[("grace", "3d"), ("prune-age-days", "60")]), shape(&[("keep-at-least", "10")]));
    assert_eq!(days.differences(&hours), []);
    let other = shape(&[("compression", "zstd"), ("repositories", "per-folder")]);
    let found: Vec<String> = hours.differences(&other).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "repositories: the bucket has \"single\", and here it is \"per-folder\"; `yrm settings set repositories per-folder` changes the bucket",
            "compression: the bucket has \"gz\", and here it is \"zstd\"; `yrm settings set compression zstd` changes the bucket",
            "keep-at-least: the bucket has \"10\", and here it is nothing; `yrm settings unset keep-at-least` changes the bucket",
            "prune-age-days: the bucket has \"60\", and here it is nothing; `yrm settings unset prune-age-days` changes the bucket",
        ]
    );
}

#[test]
fn one_listed_key_is_enough_to_sign_and_to_bring_further_ones() {
    let bucket = Shape { signing_keys: vec!["A".to_owned(), "B".to_owned()], ..Shape::default() };
    let writer =
        |keys: &[&str]| Shape { signing_keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..Shape::default() };
    for (keys, agrees) in [(&["A"][..], true), (&["C", "B"], true), (&["C"], false), (&[], false)] {
        assert_eq!(bucket.differences(&writer(keys)).is_empty(), agrees, "{keys:?}");
    }
    assert_eq!(bucket.with_keys_of(&writer(&["C", "B"])).unwrap().signing_keys, ["A", "B", "C"]);
    assert_eq!(bucket.with_keys_of(&writer(&["B"])), None);
    assert_eq!(writer(&[]).differences(&writer(&["A"])).len(), 1, "nobody begins to sign unasked");
}

//! What is done to the signature header of a well-formed package: one function a kind.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, RngCore as _};
use rpmmd::tag::signature as tags;

use super::layout::{Layout, Raw};

const INT32: u32 = 4;
const INT64: u32 = 5;
const TEXT: u32 = 6;
const BYTES: u32 = 7;
const TEXTS: u32 = 8;

type Mutate = fn(&mut StdRng, &mut Layout);

/// All of them, by name.
pub(super) const ALL: [(&str, Mutate); 22] = [
    ("moved behind the region", moved_behind),
    ("file signatures behind the region", file_signatures_behind),
    ("file signatures in the region", file_signatures_inside),
    ("an unknown tag", unknown),
    ("another order", other_order),
    ("twice in the region", twice_inside),
    ("twice behind the region", twice_behind),
    ("in the region and behind it", across),
    ("padding", padding),
    ("reserved space", reserved),
    ("sizes", sizes),
    ("sizes of another type", sizes_of_another_type),
    ("digests", digests),
    ("digests left out", digests_left_out),
    ("digests of another type", digests_of_another_type),
    ("signatures that are none", signatures),
    ("the region's trailer", trailer),
    ("the region's entry", region),
    ("no region", no_region),
    ("data that no tag has", surplus),
    ("a number of the index", patched),
    ("the region's trailer before the data", trailer_before_the_data),
];

fn numbers(tag: rpmmd::tag::Tag, kind: u32, values: &[u64]) -> Raw {
    let width = if kind == INT64 { 8 } else { 4 };
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()[8 - width..].to_vec()).collect();
    Raw::new(tag.number(), kind, u32::try_from(values.len()).unwrap(), data)
}

fn texts(tag: rpmmd::tag::Tag, kind: u32, values: &[&str]) -> Raw {
    let data: Vec<u8> = values.iter().flat_map(|value| [value.as_bytes(), b"\0"].concat()).collect();
    Raw::new(tag.number(), kind, u32::try_from(values.len()).unwrap(), data)
}

/// Any value of any type that there is, right by itself.
fn any_value(random: &mut StdRng, tag: u32) -> Raw {
    let kind = random.random_range(1..=9);
    let count = if kind == TEXT { 1 } else { random.random_range(1..4) };
    let width = [0, 1, 1, 2, 4, 8, 0, 1, 0, 0][kind as usize];
    let data = match width {
        0 => b"abcdef\0".repeat(count),
        _ => (0..width * count).map(|_| random.random()).collect(),
    };
    Raw::new(tag, kind, u32::try_from(count).unwrap(), data)
}

fn either<'l>(random: &mut StdRng, layout: &'l mut Layout) -> &'l mut Vec<Raw> {
    if random.random_bool(0.5) { &mut layout.inside } else { &mut layout.behind }
}

fn take_any(random: &mut StdRng, from: &mut Vec<Raw>) -> Option<Raw> {
    if from.is_empty() { None } else { Some(from.remove(random.random_range(0..from.len()))) }
}

fn moved_behind(random: &mut StdRng, layout: &mut Layout) {
    for _ in 0..random.random_range(1..4) {
        layout.behind.extend(take_any(random, &mut layout.inside));
    }
}

fn file_signature_tags(random: &mut StdRng) -> Vec<Raw> {
    let signature = "0302".to_owned() + &"ab".repeat(random.random_range(0..70));
    let many = vec![signature.as_str(); random.random_range(1..4)];
    let mut found = match random.random_range(0..8) {
        0 => vec![texts(tags::FILESIGNATURES, TEXT, &[&signature])],
        1 => vec![any_value(random, tags::FILESIGNATURES.number())],
        2 => vec![numbers(tags::FILESIGNATURELENGTH, INT64, &[66])],
        3 => vec![numbers(tags::FILESIGNATURELENGTH, INT32, &[66, 66])],
        4 => vec![texts(tags::VERITYSIGNATURES, TEXTS, &many), any_value(random, tags::VERITYSIGNATUREALGO.number())],
        _ => vec![texts(tags::FILESIGNATURES, TEXTS, &many), numbers(tags::FILESIGNATURELENGTH, INT32, &[66])],
    };
    if random.random_bool(0.2) {
        found.push(texts(tags::VERITYSIGNATURES, TEXTS, &["c2ln"]));
        found.push(numbers(tags::VERITYSIGNATUREALGO, INT32, &[1]));
    }
    found
}

fn file_signatures_behind(random: &mut StdRng, layout: &mut Layout) {
    layout.behind.extend(file_signature_tags(random));
}

fn file_signatures_inside(random: &mut StdRng, layout: &mut Layout) {
    layout.inside.extend(file_signature_tags(random));
}

fn unknown(random: &mut StdRng, layout: &mut Layout) {
    // Up to more than librpm takes of a signature header.
    let many = if random.random_bool(0.1) { random.random_range(20..30) } else { random.random_range(1..4) };
    for _ in 0..many {
        let low = [1, 61, 63, 99, 100, 101, 256, 280, 998, 1001, 1003, 1006, 1009, 0x7fff_ffff, 0x8000_0001, u32::MAX];
        let tag =
            if random.random_bool(0.2) { *low.choose(random).unwrap() } else { random.random_range(20_000..40_000) };
        let value = any_value(random, tag);
        either(random, layout).push(value);
    }
}

fn other_order(random: &mut StdRng, layout: &mut Layout) {
    layout.inside.shuffle(random);
    layout.behind.shuffle(random);
}

fn twice_inside(random: &mut StdRng, layout: &mut Layout) {
    let Some(raw) = layout.inside.choose(random).cloned() else { return };
    layout.inside.push(raw);
}

fn twice_behind(random: &mut StdRng, layout: &mut Layout) {
    let tag = *[20_000, tags::RESERVEDSPACE.number(), tags::SIZE.number()].choose(random).unwrap();
    let value = any_value(random, tag);
    layout.behind.extend([value.clone(), value]);
}

fn across(random: &mut StdRng, layout: &mut Layout) {
    let Some(mut raw) = layout.inside.choose(random).cloned() else { return };
    match random.random_range(0..3) {
        0 => {}
        1 => raw = any_value(random, raw.tag),
        _ => raw.data.iter_mut().for_each(|byte| *byte = if *byte == 0 { 0 } else { b'a' }),
    }
    layout.behind.push(raw);
}

fn padding(random: &mut StdRng, layout: &mut Layout) {
    layout.padding = random.random_range(1..=255);
    // So that there is some.
    let spare = Raw::new(30_000, BYTES, 3, vec![1; 3]);
    either(random, layout).push(spare);
}

fn reserved(random: &mut StdRng, layout: &mut Layout) {
    let bytes = *[1, 7, 8, 32, 4_000, 70_000].choose(random).unwrap();
    let value = Raw::new(
        *[tags::RESERVEDSPACE.number(), 999].choose(random).unwrap(),
        BYTES,
        u32::try_from(bytes).unwrap(),
        vec![random.random_range(0..2); bytes],
    );
    layout.inside.retain(|raw| raw.tag != value.tag);
    match random.random_range(0..4) {
        0 => {}
        1 => layout.inside.push(any_value(random, tags::RESERVEDSPACE.number())),
        2 => layout.behind.push(value),
        _ => layout.inside.push(value),
    }
}

fn sizes(random: &mut StdRng, layout: &mut Layout) {
    let right = layout.content.len() as u64;
    let size = *[right, right, right, right - 1, right + 1, 0, u64::from(u32::MAX)].choose(random).unwrap();
    let any = *[0, 1, 5_000, u64::from(u32::MAX)].choose(random).unwrap();
    let (of_file, short, long, value, other) = match random.random_range(0..2) {
        0 => (true, tags::SIZE, tags::LONGSIZE, size, right),
        _ => (false, tags::PAYLOADSIZE, tags::LONGARCHIVESIZE, any, any),
    };
    if of_file && random.random_bool(0.2) {
        // It says nothing of its length.
        return layout.inside.retain(|raw| raw.tag != short.number());
    }
    match random.random_range(0..4) {
        0 => {
            layout.inside.retain(|raw| raw.tag != short.number());
            either(random, layout).push(numbers(long, INT64, &[value]));
        }
        1 => either(random, layout).push(numbers(long, INT64, &[value])),
        2 => {
            layout.inside.retain(|raw| raw.tag != short.number());
            either(random, layout).push(numbers(short, INT32, &[other]));
        }
        _ => {
            let Some(raw) = layout.inside(short.number()) else { return };
            *raw = numbers(short, INT32, &[value]);
        }
    }
}

fn sizes_of_another_type(random: &mut StdRng, layout: &mut Layout) {
    let tag = *[tags::SIZE, tags::LONGSIZE, tags::PAYLOADSIZE, tags::LONGARCHIVESIZE].choose(random).unwrap();
    let right = layout.content.len() as u64;
    let value = match random.random_range(0..4) {
        0 => numbers(tag, INT32, &[right]),
        1 => numbers(tag, INT64, &[right]),
        2 => numbers(tag, INT32, &[right, right]),
        _ => any_value(random, tag.number()),
    };
    layout.inside.retain(|raw| raw.tag != tag.number());
    either(random, layout).push(value);
}

fn digests(random: &mut StdRng, layout: &mut Layout) {
    let tag = *[tags::SHA1, tags::SHA256, tags::MD5, tags::SHA3_256].choose(random).unwrap();
    if tag == tags::SHA3_256 {
        return either(random, layout).push(texts(tag, TEXT, &["ab".repeat(32).as_str()]));
    }
    let change = random.random_range(0..5);
    let Some(raw) = layout.inside(tag.number()) else { return };
    match change {
        0 => raw.data.make_ascii_uppercase(),
        1 => raw.data[0] ^= 1,
        2 => raw.data[0] = b'x',
        3 => {
            raw.data.remove(0);
            raw.count -= u32::from(raw.kind == BYTES);
        }
        _ => {
            raw.data.insert(0, b'0');
            raw.count += u32::from(raw.kind == BYTES);
        }
    }
}

fn digests_left_out(random: &mut StdRng, layout: &mut Layout) {
    let all = [tags::SHA1, tags::SHA256, tags::MD5];
    let gone: Vec<u32> = all.into_iter().filter(|_| random.random_bool(0.6)).map(rpmmd::tag::Tag::number).collect();
    layout.inside.retain(|raw| !gone.contains(&raw.tag));
}

fn digests_of_another_type(random: &mut StdRng, layout: &mut Layout) {
    let tag = *[tags::SHA1, tags::SHA256, tags::MD5].choose(random).unwrap();
    let (kind, other) = (*[2, INT32, TEXT, BYTES, TEXTS, 9].choose(random).unwrap(), random.random_bool(0.3));
    let value = any_value(random, tag.number());
    let Some(raw) = layout.inside(tag.number()) else { return };
    if other {
        *raw = value;
        return;
    }
    raw.kind = kind;
    raw.count = match kind {
        INT32 => u32::try_from(raw.data.len() / 4).unwrap(),
        2 | BYTES => u32::try_from(raw.data.len()).unwrap(),
        _ => 1,
    };
    if kind == INT32 {
        raw.data.truncate(raw.count as usize * 4);
    } else if matches!(kind, TEXT | TEXTS | 9) && raw.data.last() != Some(&0) {
        raw.data = [b"abcd".repeat(8), vec![0]].concat();
    }
}

fn signatures(random: &mut StdRng, layout: &mut Layout) {
    let all = [tags::DSA, tags::RSA, tags::PGP, tags::GPG, tags::PGP5, tags::OPENPGP, tags::OPENPGP, tags::OPENPGP];
    let tag = *all.choose(random).unwrap();
    let value = match random.random_range(0..3) {
        0 => any_value(random, tag.number()),
        _ if tag == tags::OPENPGP => texts(tag, TEXTS, &["bm9uZQ=="]),
        _ => Raw::new(tag.number(), BYTES, 300, vec![7; 300]),
    };
    either(random, layout).push(value);
}

fn trailer(random: &mut StdRng, layout: &mut Layout) {
    let entries = u32::try_from(layout.inside.len() + layout.behind.len()).unwrap() + 1;
    let Some(region) = &mut layout.region else { return };
    match random.random_range(0..6) {
        0 => region.trailer[0] = *[61, 61, 61, 63, 64, 0, 1000].choose(random).unwrap(),
        1 => region.trailer[1] = random.random_range(0..10),
        2 => region.trailer[2] = *[0, 15, 17, 32].choose(random).unwrap(),
        3 => region.covers = Some(*[0, 1, entries, entries + 1, u32::MAX, 1 << 27].choose(random).unwrap()),
        _ => region.covers = Some(random.random_range(0..entries + 2)),
    }
}

fn region(random: &mut StdRng, layout: &mut Layout) {
    let Some(region) = &mut layout.region else { return };
    match random.random_range(0..4) {
        0 => region.entry[0] = *[61, 63, 64, 99, 100, 1000].choose(random).unwrap(),
        1 => region.entry[1] = random.random_range(0..10),
        2 => region.entry[2] = *[0, 15, 17, 32].choose(random).unwrap(),
        _ => region.offset = Some(*[0, 1, 16, 5_000, u32::MAX, u32::MAX - 15].choose(random).unwrap()),
    }
}

fn no_region(random: &mut StdRng, layout: &mut Layout) {
    layout.region = None;
    if random.random_bool(0.2) {
        layout.surplus = vec![0; random.random_range(1..9)];
    }
}

fn surplus(random: &mut StdRng, layout: &mut Layout) {
    layout.surplus = vec![random.random(); random.random_range(1..20)];
}

fn patched(random: &mut StdRng, layout: &mut Layout) {
    if random.random_bool(0.2) {
        let place = random.random_range(0..2);
        let number = *[0, 1, 5, 33, 0x1_0000, 64 << 20, (64 << 20) + 1, u32::MAX].choose(random).unwrap();
        layout.intro[place] = Some(number);
        return;
    }
    let number = match random.random_range(0..4) {
        0 => random.random_range(0..10),
        1 => random.random_range(0..400),
        2 => *[0x10_0000, 0xf_ffff, 1 << 31, u32::MAX].choose(random).unwrap(),
        _ => random.next_u32(),
    };
    layout.patches.push((random.random_range(0..40), random.random_range(0..4), number));
}

/// librpm takes the last word of the index and the first three of the data for a trailer.
fn trailer_before_the_data(_: &mut StdRng, layout: &mut Layout) {
    const REGION: u32 = 62;
    let Some(region) = &mut layout.region else { return };
    let mut inside = std::mem::take(&mut layout.inside);
    inside.append(&mut layout.behind);
    // Of so many bytes: their number is the region's.
    inside.push(Raw::new(30_000, BYTES, REGION, vec![1; REGION as usize]));
    let entries = u32::try_from(inside.len()).unwrap() + 1;
    // At the data's start, so that its first three words are a trailer's last three.
    region.trailer = [BYTES, (16 * entries).wrapping_neg(), 0];
    region.covers = Some(u32::MAX);
    region.offset = Some(u32::MAX - 3);
    layout.inside = Vec::new();
    layout.behind = inside;
}

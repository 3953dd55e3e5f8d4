//! Damaging a well-formed file where it hurts: one number of an index, one of a trailer.

use std::ops::Range;

use forge::header::{Header, lead};
use forge::{Value, tag};
use md5::{Digest as _, Md5};

/// A number of an index entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    Tag = 0,
    Kind = 4,
    Offset = 8,
    Count = 12,
}

/// Where the main header stands in a well-formed file.
pub(super) fn main_header(file: &[u8]) -> Range<usize> {
    let start = header_end(file, 96).next_multiple_of(8);
    start..header_end(file, start)
}

fn header_end(file: &[u8], start: usize) -> usize {
    start + 16 + 16 * number(file, start + 8) + number(file, start + 12)
}

fn number(file: &[u8], at: usize) -> usize {
    u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize
}

/// Where the index entry of `tag` stands in the main header.
fn entry(file: &[u8], tag: u32) -> usize {
    let main = main_header(file);
    let entries = number(file, main.start + 8);
    let places = (0..entries).map(|index| main.start + 16 + 16 * index);
    places.into_iter().find(|at| number(file, *at) == tag as usize).expect("the package has the tag")
}

/// The file with another number in the index entry of `tag`, whose old one is given to `change`.
pub(super) fn patched(mut file: Vec<u8>, tag: u32, field: Field, change: impl Fn(u32) -> u32) -> Vec<u8> {
    let at = entry(&file, tag) + field as usize;
    let old = u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
    file[at..at + 4].copy_from_slice(&change(old).to_be_bytes());
    file
}

/// A number of the index entry of `tag`.
pub(super) fn field_of(file: &[u8], tag: u32, field: Field) -> u32 {
    u32::try_from(number(file, entry(file, tag) + field as usize)).unwrap()
}

/// The file with other numbers in its main header's trailer.
pub(super) fn with_trailer(mut file: Vec<u8>, trailer: [u8; 16]) -> Vec<u8> {
    let end = main_header(&file).end;
    file[end - 16..end].copy_from_slice(&trailer);
    file
}

/// The file with other numbers in its main header's intro: entries, bytes of data.
pub(super) fn with_intro(mut file: Vec<u8>, entries: Option<u32>, data_bytes: Option<u32>) -> Vec<u8> {
    let start = main_header(&file).start;
    for (at, number) in [(start + 8, entries), (start + 12, data_bytes)] {
        if let Some(number) = number {
            file[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
    }
    file
}

/// A file of this main header and nothing behind it, with a signature header that says so.
pub(super) fn with_main(main: &[u8]) -> Vec<u8> {
    with_main_under(main, Header::default())
}

/// The same with a digest of it, without which rpm installs nothing.
pub(super) fn whole(main: &[u8]) -> Vec<u8> {
    let mut signature = Header::default();
    signature.set(tag::SIG_MD5, Value::Bytes(Md5::digest(main).to_vec()));
    with_main_under(main, signature)
}

fn with_main_under(main: &[u8], mut signature: Header) -> Vec<u8> {
    signature.set(tag::SIG_SIZE, Value::int32(u32::try_from(main.len()).unwrap()));
    let mut file = lead(b"x", false);
    file.extend(signature.bytes(Some(tag::HEADERSIGNATURES)));
    file.resize(file.len().next_multiple_of(8), 0);
    file.extend_from_slice(main);
    file
}

//! Writes one RPM header: index entries and the data they point at.

use std::collections::BTreeMap;

/// The data of one tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Type 2.
    Int8(Vec<u8>),
    /// Type 3.
    Int16(Vec<u16>),
    /// Type 4.
    Int32(Vec<u32>),
    /// Type 5.
    Int64(Vec<u64>),
    /// Type 6, without its NUL.
    Text(Vec<u8>),
    /// Type 7.
    Bytes(Vec<u8>),
    /// Type 8, without the NULs.
    Texts(Vec<Vec<u8>>),
    /// Type 9: one text per locale of HEADERI18NTABLE.
    Locales(Vec<Vec<u8>>),
    /// Any type and count over any data, aligned as asked; for headers that lie.
    Raw {
        /// The type number of the index entry.
        kind: u32,
        /// The count of the index entry.
        count: u32,
        /// Where the data may start: a multiple of this many bytes.
        align: usize,
        /// The data.
        data: Vec<u8>,
    },
}

impl Value {
    /// A text.
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().to_vec())
    }

    /// A list of texts.
    pub fn texts<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Texts(texts.into_iter().map(|text| text.as_ref().to_vec()).collect())
    }

    /// One 32-bit number.
    pub fn int32(number: u32) -> Self {
        Self::Int32(vec![number])
    }

    fn kind(&self) -> u32 {
        match self {
            Self::Int8(_) => 2,
            Self::Int16(_) => 3,
            Self::Int32(_) => 4,
            Self::Int64(_) => 5,
            Self::Text(_) => 6,
            Self::Bytes(_) => 7,
            Self::Texts(_) => 8,
            Self::Locales(_) => 9,
            Self::Raw { kind, .. } => *kind,
        }
    }

    fn count(&self) -> u32 {
        let count = match self {
            Self::Int8(data) | Self::Bytes(data) => data.len(),
            Self::Int16(data) => data.len(),
            Self::Int32(data) => data.len(),
            Self::Int64(data) => data.len(),
            Self::Text(_) => 1,
            Self::Texts(data) | Self::Locales(data) => data.len(),
            Self::Raw { count, .. } => return *count,
        };
        u32::try_from(count).expect("test data is small")
    }

    /// Appends the data to `store` and says where it starts.
    fn append_to(&self, store: &mut Vec<u8>) -> u32 {
        let align = match self {
            Self::Int16(_) => 2,
            Self::Int32(_) => 4,
            Self::Int64(_) => 8,
            Self::Raw { align, .. } => *align,
            Self::Int8(_) | Self::Text(_) | Self::Bytes(_) | Self::Texts(_) | Self::Locales(_) => 1,
        };
        store.resize(store.len().next_multiple_of(align), 0);
        let start = u32::try_from(store.len()).expect("test data is small");
        match self {
            Self::Int8(data) | Self::Bytes(data) | Self::Raw { data, .. } => store.extend_from_slice(data),
            Self::Int16(data) => data.iter().for_each(|number| store.extend(number.to_be_bytes())),
            Self::Int32(data) => data.iter().for_each(|number| store.extend(number.to_be_bytes())),
            Self::Int64(data) => data.iter().for_each(|number| store.extend(number.to_be_bytes())),
            Self::Text(text) => append_text(store, text),
            Self::Texts(texts) | Self::Locales(texts) => texts.iter().for_each(|text| append_text(store, text)),
        }
        start
    }
}

fn append_text(store: &mut Vec<u8>, text: &[u8]) {
    store.extend_from_slice(text);
    store.push(0);
}

/// Tags and their data, written in the order of their numbers as rpmbuild does.
#[derive(Debug, Clone, Default)]
pub struct Header {
    entries: BTreeMap<u32, Value>,
}

impl Header {
    /// Sets or replaces a tag.
    pub fn set(&mut self, tag: u32, value: Value) {
        self.entries.insert(tag, value);
    }

    /// Sets a tag unless `value` is empty: rpm never writes an entry of count 0.
    pub(crate) fn set_unless_empty(&mut self, tag: u32, value: Value) {
        if value.count() > 0 {
            self.set(tag, value);
        }
    }

    /// Removes a tag.
    pub fn remove(&mut self, tag: u32) {
        self.entries.remove(&tag);
    }

    /// The header's bytes: intro, index, data. With `region` (62 or 63) the first entry is that
    /// region over all others and its trailer ends the data.
    pub fn bytes(&self, region: Option<u32>) -> Vec<u8> {
        self.bytes_with(region.map(|number| (number, number)), &[])
    }

    /// The same with the region's number and its trailer's, and with entries and data behind the region.
    pub(crate) fn bytes_with(&self, region: Option<(u32, u32)>, behind: &[(u32, Value)]) -> Vec<u8> {
        let mut store = Vec::new();
        let mut index = Vec::new();
        for (tag, value) in &self.entries {
            let start = value.append_to(&mut store);
            index.extend(entry(*tag, value.kind(), start, value.count()));
        }
        if let Some((region, trailer)) = region {
            let start = u32::try_from(store.len()).expect("test data is small");
            let index_bytes = u32::try_from(index.len() + 16).expect("test data is small");
            index.splice(0..0, entry(region, 7, start, 16));
            store.extend(entry(trailer, 7, index_bytes.wrapping_neg(), 16));
        }
        for (tag, value) in behind {
            let start = value.append_to(&mut store);
            index.extend(entry(*tag, value.kind(), start, value.count()));
        }
        assemble(u32::try_from(index.len() / 16).expect("test data is small"), &index, &store)
    }
}

/// One index entry.
pub fn entry(tag: u32, kind: u32, offset: u32, count: u32) -> [u8; 16] {
    let mut entry = [0; 16];
    for (place, number) in entry.chunks_exact_mut(4).zip([tag, kind, offset, count]) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    entry
}

/// A header from an index and data as they are; `entries` is what the intro claims.
pub fn assemble(entries: u32, index: &[u8], store: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
    bytes.extend(entries.to_be_bytes());
    bytes.extend(u32::try_from(store.len()).expect("test data is small").to_be_bytes());
    bytes.extend_from_slice(index);
    bytes.extend_from_slice(store);
    bytes
}

/// The 96 bytes every RPM file starts with.
pub fn lead(name: &[u8], source: bool) -> Vec<u8> {
    let mut lead = vec![0xed, 0xab, 0xee, 0xdb, 3, 0, 0, u8::from(source), 0, 1];
    lead.extend(&name[..name.len().min(65)]);
    lead.resize(76, 0);
    lead.extend([0, 1, 0, 5]);
    lead.resize(96, 0);
    lead
}

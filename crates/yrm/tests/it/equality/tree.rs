//! Any XML document as a tree, and what differs between two of them.
//!
//! It knows nothing of RPM and shares no code with `rpmmd`, so that a mistake made in both its
//! writer and its reader is seen here.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// An element. Attributes have no order; children do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Everything between the tags that is no element; without the indentation around children.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Reads a whole document; the root element.
    pub(crate) fn parse(document: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(document);
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            let top = open.last_mut().ok_or("an end without a start")?;
            match event {
                Event::Start(start) => open.push(Self::start(&start)?),
                Event::Empty(start) => top.children.push(Self::start(&start)?),
                Event::End(_) => {
                    let mut done = open.pop().ok_or("an end without a start")?;
                    if !done.children.is_empty() && done.text.trim().is_empty() {
                        done.text.clear();
                    }
                    open.last_mut().ok_or("an end without a start")?.children.push(done);
                }
                Event::Text(text) => top.text.push_str(&text.xml10_content()),
                Event::CData(text) => top.text.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                        Some(character) => top.text.push(character),
                        None => top.text.push_str(
                            resolve_predefined_entity(&reference.xml10_content()).ok_or("an unknown entity")?,
                        ),
                    }
                }
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {}
                Event::Eof => break,
            }
        }
        let [document] = <[Self; 1]>::try_from(open).map_err(|_| "an element is not closed")?;
        let [root] = <[Self; 1]>::try_from(document.children).map_err(|_| "not one root element")?;
        Ok(root)
    }

    fn start(start: &BytesStart<'_>) -> Result<Self, String> {
        let mut element = Self { name: start.name().into_inner().to_owned(), ..Self::default() };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
            element.attributes.insert(attribute.key.into_inner().to_owned(), value.into_owned());
        }
        Ok(element)
    }

    /// The first child of that name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The attribute, empty when there is none.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// What differs, a line each: attributes, text, and children one by one in their order.
    pub(crate) fn differences(&self, other: &Self, path: &str, found: &mut Vec<String>) {
        if self.name != other.name {
            found.push(format!("{path}: <{}> against <{}>", self.name, other.name));
            return;
        }
        let path = format!("{path}/{}", self.name);
        for name in self.attributes.keys().chain(other.attributes.keys().filter(|n| !self.attributes.contains_key(*n)))
        {
            let (left, right) = (self.attributes.get(name), other.attributes.get(name));
            if left != right {
                found.push(format!("{path}@{name}: {left:?} against {right:?}"));
            }
        }
        if self.text != other.text {
            found.push(format!("{path}: text {:?} against {:?}", self.text, other.text));
        }
        for (index, pair) in self.children.iter().zip(&other.children).enumerate() {
            pair.0.differences(pair.1, &format!("{path}[{index}]"), found);
        }
        for (sign, rest) in [
            ("only in the first", self.children.get(other.children.len()..)),
            ("only in the second", other.children.get(self.children.len()..)),
        ] {
            for child in rest.unwrap_or_default() {
                found.push(format!("{path}: {sign}: {child:?}"));
            }
        }
    }
}

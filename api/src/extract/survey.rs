//! A first look at a body, before anything is made of it: how deep it goes, and that it says nothing twice.
//!
//! **Depth.** What is stored goes through the JSON decoder of every program that lists it, this one included. Those give up at
//! 128 levels, and then not on the one object but on the whole list: one request nested deep enough would blind them all.
//!
//! **Names.** Of a name that stands twice in an object, one reader takes the first value and another the last (RFC 8259,
//! section 4). What a person approves must be what every program reads.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How deep a body may be nested; what catalogue items ask for needs a few levels.
pub(super) const MAX_DEPTH: usize = 32;

/// Reads a value, keeps nothing of it, and fails where it is nested too deep or a name stands twice.
pub(super) struct Survey {
    /// Levels around the value.
    depth: usize,
}

impl Survey {
    pub(super) const fn new() -> Self {
        Self { depth: 0 }
    }

    fn below<E: Error>(&self) -> Result<Self, E> {
        let depth = self.depth.saturating_add(1);
        if depth > MAX_DEPTH {
            return Err(E::custom(format_args!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Survey {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Survey {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(self.below()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(A::Error::custom(format_args!("the field `{name}` is there twice")));
            }
            seen.insert(name);
            fields.next_value_seed(self.below()?)?;
        }
        Ok(())
    }
}

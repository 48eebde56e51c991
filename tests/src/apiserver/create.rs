//! Creating objects.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Refusal;
use super::apply::Ownership;
use super::defaults;
use super::meta;
use super::store::{State, Verb};
use super::write::{Source, Write, stamp, text};

/// Letters of generated names.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Longest prefix of a generated name that is used.
const LONGEST_PREFIX: usize = 58;

impl Write<'_> {
    /// Creates an object from the body of a request.
    pub(crate) fn create(&self, state: &mut State, body: Value) -> Result<Arc<Value>, Refusal> {
        let mut object = self.read(body, Source::Body)?;
        for servers in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            meta::unset(&mut object, servers);
        }
        meta::place(&mut object, if self.kind.namespaced { &self.place.namespace } else { "" })?;
        meta::unite_owners(&mut object);
        let mut ownership = Ownership::default();
        ownership.wrote(self.kind, &self.manager(false), None, &object);
        self.add(state, object, ownership, Source::Body)
    }

    /// Adds an object that was read. One that is posted may not say a revision.
    pub(super) fn add(
        &self,
        state: &mut State,
        mut object: Value,
        mut ownership: Ownership,
        from: Source,
    ) -> Result<Arc<Value>, Refusal> {
        self.namespace_takes(state, text(&object, "/metadata/name"))?;
        let mut name = text(&object, "/metadata/name").to_owned();
        let prefix = text(&object, "/metadata/generateName");
        if name.is_empty() && !prefix.is_empty() {
            let prefix: String = prefix.chars().take(LONGEST_PREFIX).collect();
            name = format!("{prefix}{}", suffix(&state.uid_for(&self.key(&format!("{prefix}{}", state.revision)))));
            meta::set(&mut object, "name", json!(name));
        }
        let key = self.key(&name);
        let uid = if self.dry_run { state.uid_for_show(&key) } else { state.uid_for(&key) };
        meta::set(&mut object, "uid", json!(uid));
        meta::set(&mut object, "creationTimestamp", json!(stamp(self.at)));
        if self.kind.counted {
            meta::set(&mut object, "generation", json!(1));
        }
        if self.kind.status
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        defaults::created(state, self.kind, &mut object);
        self.validate(&object, None)?;
        self.as_stored(&mut object, from, &mut ownership);
        self.admit(state, "CREATE", &name, (Some(&object), None), None)?;
        let version = text(&object, "/metadata/resourceVersion").parse::<u64>();
        let posted = from == Source::Body && self.place.name.is_empty();
        if !self.dry_run && posted && version.is_ok_and(|version| version != 0) {
            return Err(Refusal::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        if state.get(&key).is_some() {
            return Err(Refusal::exists(self.kind, &name));
        }
        if self.dry_run {
            return Ok(Arc::new(object));
        }
        state.ownership.insert(key.clone(), ownership);
        Ok(state.commit(&key, Verb::Create, object, &self.writer()))
    }
}

/// The end of a generated name, from the hexadecimal digits of a UID.
fn suffix(uid: &str) -> String {
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).collect::<Vec<_>>();
    digits
        .chunks(2)
        .take(5)
        .filter_map(|pair| {
            let number = pair.iter().fold(0_usize, |n, digit| n.wrapping_mul(31).wrapping_add(usize::from(*digit)));
            LETTERS.get(number % LETTERS.len()).map(|letter| char::from(*letter))
        })
        .collect()
}

//! A place in a schema.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::formats::Format;
use super::rules::Rule;

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The schema gives no type.
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    IntOrString,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        })
    }
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    /// A value as a whole.
    #[default]
    Atomic,
    /// Elements without order that differ from each other.
    Set,
    /// Elements without order, told apart by keys.
    Map,
}

/// What else than the fields of `properties` an object may hold.
#[derive(Debug, Default)]
pub(crate) enum Additional {
    /// The schema says nothing.
    #[default]
    Unsaid,
    /// Anything, or nothing.
    Allowed(bool),
    /// Values of this schema.
    Each(Box<Node>),
}

/// A bound of a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) value: f64,
    pub(super) exclusive: bool,
}

/// A schema at a place, or a branch of one (`oneOf`, `anyOf`, `allOf`, `not`).
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what a schema may say, one by one")]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    pub(crate) format: Option<Format>,
    pub(super) default: Option<Value>,
    pub(super) properties: BTreeMap<String, Node>,
    /// Whether `properties` is written at all, be it empty.
    pub(super) with_properties: bool,
    pub(super) additional: Additional,
    pub(crate) items: Option<Box<Node>>,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub(crate) preserve: bool,
    /// `x-kubernetes-embedded-resource`.
    pub(super) embedded: bool,
    /// The object itself, not a part of it.
    pub(super) root: bool,
    pub(crate) list_type: ListType,
    pub(crate) list_keys: Vec<String>,
    pub(super) required: Vec<String>,
    pub(super) choices: Vec<Value>,
    pub(super) pattern: Option<(String, Regex)>,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiple_of: Option<f64>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) unique_items: bool,
    pub(super) one_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) all_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
    pub(super) rules: Vec<Rule>,
    /// Whether there are rules here or below.
    pub(super) has_rules: bool,
    /// Whether there are lists of type `set` or `map` here or below.
    pub(super) has_list_types: bool,
}

impl Node {
    pub(super) const fn of(kind: Kind) -> Self {
        Self {
            kind,
            nullable: false,
            format: None,
            default: None,
            properties: BTreeMap::new(),
            with_properties: false,
            additional: Additional::Unsaid,
            items: None,
            preserve: false,
            embedded: false,
            root: false,
            list_type: ListType::Atomic,
            list_keys: Vec::new(),
            required: Vec::new(),
            choices: Vec::new(),
            pattern: None,
            minimum: None,
            maximum: None,
            multiple_of: None,
            min_length: None,
            max_length: None,
            min_items: None,
            max_items: None,
            min_properties: None,
            max_properties: None,
            unique_items: false,
            one_of: Vec::new(),
            any_of: Vec::new(),
            all_of: Vec::new(),
            not: None,
            rules: Vec::new(),
            has_rules: false,
            has_list_types: false,
        }
    }

    /// Whether it is a whole Kubernetes object, with apiVersion, kind and metadata.
    pub(super) const fn is_resource(&self) -> bool {
        self.root || self.embedded
    }

    /// Whether its fields are named by the schema, as expressions see it.
    pub(crate) const fn has_fields(&self) -> bool {
        self.with_properties || self.is_resource()
    }

    /// The schema of a field or entry, as expressions see it: of a whole object, `apiVersion`, `kind`, `metadata.name` and
    /// `metadata.generateName` are always there, and nothing else of the metadata.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        if self.is_resource() && !self.describes_metadata() {
            match name {
                "apiVersion" | "kind" => return Some(&TEXT),
                "metadata" => return Some(&METADATA),
                _ => {}
            }
        }
        self.properties.get(name).or(match (&self.additional, self.has_fields()) {
            (Additional::Each(each), false) => Some(each),
            _ => None,
        })
    }

    /// The schema of a field or entry, as written.
    pub(super) fn written(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Each(each) => Some(each),
            _ => None,
        })
    }

    fn describes_metadata(&self) -> bool {
        let is = |node: Option<&Self>, kind: Kind| node.is_some_and(|n| n.kind == kind);
        let metadata = self.properties.get("metadata");
        is(self.properties.get("kind"), Kind::String)
            && is(self.properties.get("apiVersion"), Kind::String)
            && is(metadata, Kind::Object)
            && is(metadata.and_then(|m| m.properties.get("name")), Kind::String)
            && is(metadata.and_then(|m| m.properties.get("generateName")), Kind::String)
    }
}

static TEXT: LazyLock<Node> = LazyLock::new(|| Node::of(Kind::String));
static METADATA: LazyLock<Node> = LazyLock::new(|| {
    let properties = ["name", "generateName"].map(|name| (name.to_owned(), Node::of(Kind::String)));
    Node { properties: properties.into_iter().collect(), with_properties: true, ..Node::of(Kind::Object) }
});

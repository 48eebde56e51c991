//! What a kind's schema says about merging.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};

use super::Step;

/// What stands at a place, as far as merging is concerned.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// A single value, and of which type; any if there is none.
    Scalar(Option<Scalar>),
    Map(MapShape),
    List(ListShape),
    /// The schema does not say: maps are merged key by key, everything else is one value.
    Deduced,
    /// The schema does not say, and it is one value whatever it is.
    Whole,
}

/// The type of a single value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Text,
    Number,
    Flag,
}

/// A map.
#[derive(Clone, Debug)]
pub(crate) struct MapShape {
    fields: BTreeMap<String, Arc<Shape>>,
    /// What fields are that are not declared; none if there may be none.
    rest: Option<Arc<Shape>>,
    pub(super) atomic: bool,
}

/// A list.
#[derive(Clone, Debug)]
pub(crate) struct ListShape {
    how: Telling,
    items: Arc<Shape>,
}

/// How items of a list are told apart.
#[derive(Clone, Debug)]
enum Telling {
    /// Not at all: the list is one value.
    Atomic,
    /// By their value.
    Value,
    /// By these fields, with what they are where they are not given.
    Keys(Vec<(String, Option<Value>)>),
}

static DEDUCED: LazyLock<MapShape> =
    LazyLock::new(|| MapShape { fields: BTreeMap::new(), rest: Some(Arc::new(Shape::Deduced)), atomic: false });

impl Shape {
    /// The shape of objects of a kind with this OpenAPI schema.
    pub(crate) fn of(schema: &Value) -> Self {
        let mut shape = read(schema, false);
        if let Self::Map(map) = &mut shape {
            for (name, inner) in [("apiVersion", Self::TEXT), ("kind", Self::TEXT), ("metadata", metadata())] {
                map.fields.insert(name.to_owned(), Arc::new(inner));
            }
        }
        shape
    }

    /// The shape of objects of which only the metadata is known.
    pub(crate) fn unknown() -> Self {
        Self::of(
            &json!({ "type": "object", "properties": { "metadata": {} }, "x-kubernetes-preserve-unknown-fields": true }),
        )
    }

    const TEXT: Self = Self::Scalar(Some(Scalar::Text));

    pub(super) fn map(&self) -> Option<&MapShape> {
        match self {
            Self::Map(map) => Some(map),
            Self::Deduced => Some(&DEDUCED),
            _ => None,
        }
    }

    pub(super) const fn list(&self) -> Option<&ListShape> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) const fn is_container(&self) -> bool {
        matches!(self, Self::Map(_) | Self::List(_))
    }

    /// What is wrong with an object that is applied: fields that the schema does not know, values of another type, lists with an
    /// item twice.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        self.check_at(value, &super::Path::default(), false)
    }

    /// Like [`Shape::check`] for an object that is there already: lists may have an item twice.
    pub(crate) fn check_stored(&self, value: &Value) -> Result<(), String> {
        self.check_at(value, &super::Path::default(), true)
    }

    fn check_at(&self, value: &Value, path: &super::Path, twice: bool) -> Result<(), String> {
        match (self, value) {
            (_, Value::Null) | (Self::Whole | Self::Deduced, _) => Ok(()),
            (Self::Map(of), Value::Object(map)) => {
                for (name, value) in map {
                    let path = path.below(Step::Field(name.clone()));
                    let (inner, _) = of.field(name).ok_or_else(|| format!("{path}: field not declared in schema"))?;
                    inner.check_at(value, &path, twice)?;
                }
                Ok(())
            }
            (Self::List(of), Value::Array(items)) => {
                let mut seen = Vec::new();
                for (at, item) in items.iter().enumerate() {
                    let step = if of.associative() {
                        let step = of.step(item).map_err(|told| format!("{path}: element {at}: {told}"))?;
                        if seen.contains(&step) && !twice {
                            return Err(format!("{}: duplicate entries for key", path.below(step)));
                        }
                        seen.push(step.clone());
                        step
                    } else {
                        Step::Item(at.to_string())
                    };
                    of.items.check_at(item, &path.below(step), twice)?;
                }
                Ok(())
            }
            (Self::Scalar(of), value) => {
                let fits = match (of, value) {
                    (_, Value::Object(_) | Value::Array(_)) => false,
                    (None, _)
                    | (Some(Scalar::Text), Value::String(_))
                    | (Some(Scalar::Number), Value::Number(_))
                    | (Some(Scalar::Flag), Value::Bool(_)) => true,
                    _ => false,
                };
                if fits { Ok(()) } else { Err(format!("{path}: another type than expected")) }
            }
            (Self::Map(_), _) => Err(format!("{path}: expected map")),
            (Self::List(_), _) => Err(format!("{path}: expected list")),
        }
    }
}

impl MapShape {
    /// What a field is, and whether it is declared by its name.
    pub(super) fn field(&self, name: &str) -> Option<(&Shape, bool)> {
        match self.fields.get(name) {
            Some(declared) => Some((declared, true)),
            None => self.rest.as_deref().map(|rest| (rest, false)),
        }
    }
}

impl ListShape {
    pub(super) fn items(&self) -> &Shape {
        &self.items
    }

    pub(super) const fn associative(&self) -> bool {
        !matches!(self.how, Telling::Atomic)
    }

    /// The step to an item.
    pub(super) fn step(&self, item: &Value) -> Result<Step, &'static str> {
        match &self.how {
            Telling::Atomic => Err("the list is one value"),
            Telling::Value => match item {
                Value::Object(_) | Value::Array(_) | Value::Null => Err("items of a set are single values"),
                value => Ok(Step::Item(value.to_string())),
            },
            Telling::Keys(keys) => {
                let item = item.as_object().ok_or("items that are told apart by keys are maps")?;
                let mut found: Vec<(String, String)> = keys
                    .iter()
                    .filter_map(|(name, default)| {
                        item.get(name).or(default.as_ref()).map(|value| (name.clone(), value.to_string()))
                    })
                    .collect();
                if found.is_empty() {
                    return Err("no key of the item is given");
                }
                found.sort();
                Ok(Step::Keys(found))
            }
        }
    }
}

fn read(schema: &Value, preserved: bool) -> Shape {
    let preserved = preserved || schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    match schema.get("type").and_then(Value::as_str) {
        _ if schema.get("x-kubernetes-int-or-string").is_some() => Shape::Deduced,
        Some("object") => Shape::Map(map(schema, preserved)),
        Some("array") => Shape::List(list(schema, preserved)),
        Some("integer" | "number") => Shape::Scalar(Some(Scalar::Number)),
        Some("boolean") => Shape::Scalar(Some(Scalar::Flag)),
        Some("string") => {
            let plain = matches!(schema.get("format").and_then(Value::as_str), None | Some("byte"));
            Shape::Scalar(plain.then_some(Scalar::Text))
        }
        _ => Shape::Deduced,
    }
}

fn map(schema: &Value, preserved: bool) -> MapShape {
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields: BTreeMap<String, Arc<Shape>> = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.clone(), Arc::new(read(schema, preserved))))
        .collect();
    let rest = match schema.get("additionalProperties") {
        None => (preserved || fields.is_empty()).then_some(Shape::Deduced),
        Some(Value::Bool(allowed)) => allowed.then_some(Shape::Deduced),
        Some(each) => Some(read(each, preserved)),
    };
    let atomic = schema.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic");
    MapShape { fields, rest: rest.map(Arc::new), atomic }
}

fn list(schema: &Value, preserved: bool) -> ListShape {
    let items = schema.get("items");
    let how = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Telling::Value,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten();
            let default = |key: &str| {
                items.and_then(|i| i.pointer(&format!("/properties/{key}/default"))).filter(|d| !d.is_null()).cloned()
            };
            Telling::Keys(keys.filter_map(Value::as_str).map(|k| (k.to_owned(), default(k))).collect())
        }
        _ => Telling::Atomic,
    };
    ListShape { how, items: Arc::new(items.map_or(Shape::Whole, |i| read(i, preserved))) }
}

/// `ObjectMeta`.
fn metadata() -> Shape {
    static META: LazyLock<Shape> = LazyLock::new(|| {
        let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
        let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
        let time = json!({ "type": "string", "format": "date-time" });
        let owner: Map<String, Value> = ["apiVersion", "kind", "name", "uid"]
            .into_iter()
            .map(|name| (name.to_owned(), text.clone()))
            .chain(["controller", "blockOwnerDeletion"].map(|name| (name.to_owned(), json!({ "type": "boolean" }))))
            .collect();
        read(
            &json!({ "type": "object", "properties": {
                "name": text, "generateName": text, "namespace": text, "selfLink": text, "uid": text, "resourceVersion": text,
                "generation": number, "deletionGracePeriodSeconds": number, "creationTimestamp": time, "deletionTimestamp": time,
                "labels": texts, "annotations": texts,
                "finalizers": { "type": "array", "items": text, "x-kubernetes-list-type": "set" },
                "ownerReferences": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"],
                    "items": { "type": "object", "properties": owner, "x-kubernetes-map-type": "atomic" }
                },
                "managedFields": { "type": "array", "items": { "type": "object" } }
            } }),
            false,
        )
    });
    META.clone()
}

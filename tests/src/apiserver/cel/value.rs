//! Values of expressions, which borrow from the objects that they are about.

use std::borrow::Cow;
use std::ops::Deref;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::authorizer::{Decision, Question};
use super::names;
use super::quantity::Quantity;
use crate::apiserver::schema::{Format, Kind, ListType, Node};

/// Why an evaluation came to nothing, in the words of cel-go where there are some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(Cow<'static, str>);

impl Fault {
    pub(crate) const fn of(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    pub(crate) fn new(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    /// Elements of lists are found by their place only.
    pub(crate) fn no_place(by: &Val<'_>) -> Self {
        Self::new(format!("unsupported index type '{}' in list", by.type_name()))
    }

    /// The types do not fit the operator or function.
    pub(crate) const fn no_such_overload() -> Self {
        Self::of("no such overload")
    }

    pub(crate) fn no_such_key(key: &str) -> Self {
        Self::new(format!("no such key: {key}"))
    }

    /// What went wrong.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A value, or why there is none.
pub(crate) type Outcome<'a> = Result<Val<'a>, Fault>;

/// A string, borrowed from an object or made by the expression.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Made(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

/// A JSON object or array, seen through the schema of its place where it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data<'a, T> {
    pub(crate) value: &'a T,
    pub(crate) node: Option<&'a Node>,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Rc<[u8]>),
    Time(Timestamp),
    Span(SignedDuration),
    Type(&'static str),
    Quantity(Rc<Quantity>),
    /// A list that the expression made.
    List(Rc<Vec<Val<'a>>>),
    /// A map that the expression made.
    Map(Rc<Vec<(Val<'a>, Val<'a>)>>),
    /// An object of the data.
    Object(Data<'a, Map<String, Value>>),
    /// A list of the data.
    Array(Data<'a, Vec<Value>>),
    /// Data without a schema within data that has one: it can be compared and nothing else.
    Opaque(&'a Value),
    Optional(Option<Rc<Val<'a>>>),
    /// The authorizer, and what is asked of it so far.
    Question(Rc<Question>),
    Decision(Decision),
}

impl<'a> Val<'a> {
    /// A string that the expression made.
    pub(crate) fn made(text: &str) -> Self {
        Self::Text(Text::Made(Rc::from(text)))
    }

    pub(crate) fn some(value: Self) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    /// Data without a schema, as admission policies see objects.
    pub(crate) fn plain(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => {
                number.as_i64().map_or_else(|| number.as_f64().map_or(Self::Null, Self::Double), Self::Int)
            }
            Value::String(text) => Self::Text(Text::Borrowed(text)),
            Value::Array(value) => Self::Array(Data { value, node: None }),
            Value::Object(value) => Self::Object(Data { value, node: None }),
        }
    }

    /// Data as the schema of its place has it.
    pub(crate) fn typed(value: &'a Value, node: &'a Node) -> Outcome<'a> {
        if value.is_null() {
            let fault = Fault::of("invalid data, got null for schema with nullable=false");
            return if node.nullable { Ok(Self::Null) } else { Err(fault) };
        }
        let number = value.as_i64();
        match (node.kind, value) {
            (Kind::IntOrString, Value::String(text)) => Ok(Self::Text(Text::Borrowed(text))),
            (Kind::IntOrString | Kind::Integer, Value::Number(_)) if number.is_some() => {
                Ok(Self::Int(number.unwrap_or(0)))
            }
            (Kind::Object, Value::Object(value)) => Ok(Self::Object(Data { value, node: Some(node) })),
            (Kind::Array, Value::Array(value)) => Ok(Self::Array(Data { value, node: Some(node) })),
            (Kind::String, Value::String(text)) => Self::formatted(text, node.format),
            (Kind::Number, Value::Number(number)) => Ok(Self::Double(number.as_f64().unwrap_or(f64::NAN))),
            (Kind::Boolean, Value::Bool(value)) => Ok(Self::Bool(*value)),
            (Kind::Any, value) if node.preserve => Ok(Self::Opaque(value)),
            (kind, value) => Err(misfit(kind, value)),
        }
    }

    fn formatted(text: &'a str, format: Option<Format>) -> Outcome<'a> {
        let wrong = |what: &str| Fault::new(format!("Invalid {what} {text}"));
        Ok(match format {
            Some(Format::DateTime) => Self::Time(text.parse().map_err(|_| wrong("date-time formatted string"))?),
            Some(Format::Date) => {
                let midnight = text.parse::<jiff::civil::Date>().and_then(|d| d.to_zoned(jiff::tz::TimeZone::UTC));
                Self::Time(midnight.map_err(|_| wrong("date formatted string"))?.timestamp())
            }
            Some(Format::Duration) => Self::Span(super::functions::span(text).ok_or_else(|| wrong("duration"))?),
            Some(Format::Byte) => {
                let bytes = data_encoding::BASE64URL.decode(text.as_bytes());
                Self::Bytes(bytes.map_err(|_| wrong("byte formatted string"))?.into())
            }
            _ => Self::Text(Text::Borrowed(text)),
        })
    }

    /// The string, if it is one.
    pub(crate) fn text(&self) -> Result<&str, Fault> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Fault::no_such_overload()),
        }
    }

    pub(crate) fn bool(&self) -> Result<bool, Fault> {
        match self {
            Self::Bool(value) => Ok(*value),
            _ => Err(Fault::no_such_overload()),
        }
    }

    /// The name of its type, as `type()` gives it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Time(_) => "google.protobuf.Timestamp",
            Self::Span(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::List(_) | Self::Array(_) => "list",
            Self::Map(_) | Self::Object(_) => "map",
            Self::Opaque(_) => "unknown",
            Self::Optional(_) => "optional_type",
            Self::Question(question) => question.type_name(),
            Self::Decision(_) => "kubernetes.authorization.Decision",
        }
    }

    /// The name of its Go type, which some errors tell.
    const fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "types.Null",
            Self::Bool(_) => "types.Bool",
            Self::Int(_) => "types.Int",
            Self::Uint(_) => "types.Uint",
            Self::Double(_) => "types.Double",
            Self::Text(_) => "types.String",
            Self::Bytes(_) => "types.Bytes",
            Self::Time(_) => "types.Timestamp",
            Self::Span(_) => "types.Duration",
            Self::Optional(_) => "*types.Optional",
            _ => "ref.Val",
        }
    }

    /// How many elements, entries or characters.
    pub(crate) fn size(&self) -> Result<usize, Fault> {
        Ok(match self {
            Self::Text(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Array(array) => array.value.len(),
            Self::Map(map) => map.len(),
            Self::Object(object) => object.value.len(),
            _ => return Err(Fault::no_such_overload()),
        })
    }

    /// An element of a list; `None` beyond its end.
    pub(crate) fn element(&self, at: usize) -> Result<Option<Self>, Fault> {
        match self {
            Self::List(list) => Ok(list.get(at).cloned()),
            Self::Array(array) => array.value.get(at).map(|v| array.item(v)).transpose(),
            _ => Err(Fault::no_such_overload()),
        }
    }

    /// An entry of a map or object; `None` where there is none.
    pub(crate) fn entry(&self, key: &Self) -> Result<Option<Self>, Fault> {
        match (self, key) {
            (Self::Object(object), Self::Text(key)) => object.find(key),
            (Self::Map(map), key) => {
                for (known, value) in map.iter() {
                    if known.equals(key)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
            _ => Err(Fault::no_such_overload()),
        }
    }

    /// The entry of this name; what is neither map nor list has none.
    pub(crate) fn field(&self, name: &str) -> Result<Option<Self>, Fault> {
        match self {
            Self::Object(object) => object.find(name),
            Self::Map(_) => self.entry(&Self::made(name)),
            Self::List(_) | Self::Array(_) => Err(Fault::no_place(&Self::made(name))),
            _ => Ok(None),
        }
    }

    /// What a macro goes over: the elements of a list, the keys of a map.
    pub(crate) fn each(&self) -> Result<Vec<Outcome<'a>>, Fault> {
        Ok(match self {
            Self::List(list) => list.iter().cloned().map(Ok).collect(),
            Self::Array(array) => array.value.iter().map(|v| array.item(v)).collect(),
            Self::Map(map) => map.iter().map(|(key, _)| Ok(key.clone())).collect(),
            Self::Object(object) => object.keys().map(|key| Ok(Val::Text(key))).collect(),
            _ => return Err(Fault::new(format!("got '{}', expected iterable type", self.go_type()))),
        })
    }
}

/// Data that does not fit the schema of its place, in the API server's words.
fn misfit(kind: Kind, value: &Value) -> Fault {
    let got = match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    let scalar = |wanted: &str| Fault::new(format!("invalid data, expected {wanted}, got {got}"));
    match kind {
        Kind::Object => Fault::of("invalid data, expected a map for the provided schema with type=object"),
        Kind::Array => Fault::of("invalid data, expected an array for the provided schema with type=array"),
        Kind::IntOrString => Fault::of("invalid data, expected XIntOrString value to be either a string or integer"),
        Kind::String => scalar("string"),
        Kind::Integer => scalar("int"),
        Kind::Number => scalar("float"),
        Kind::Boolean => scalar("bool"),
        Kind::Any => Fault::of("invalid type, the schema gives none"),
    }
}

impl<'a> Data<'a, Vec<Value>> {
    fn item(&self, value: &'a Value) -> Outcome<'a> {
        match self.node {
            None => Ok(Val::plain(value)),
            Some(node) => match &node.items {
                Some(items) => Val::typed(value, items),
                None => Err(Fault::of("invalid array type, expected Items with a non-empty Schema")),
            },
        }
    }

    /// How the list is compared.
    pub(crate) fn list_type(&self) -> ListType {
        self.node.map_or(ListType::Atomic, |node| node.list_type)
    }
}

impl<'a> Data<'a, Map<String, Value>> {
    /// Whether its fields have names that the schema gives: they are then escaped in expressions, and null is as good as absent.
    fn has_fields(&self) -> bool {
        self.node.is_some_and(Node::has_fields)
    }

    fn find(&self, key: &str) -> Result<Option<Val<'a>>, Fault> {
        let Some(node) = self.node else {
            return Ok(self.value.get(key).map(Val::plain));
        };
        let unescaped = if self.has_fields() { names::unescape(key) } else { Some(Cow::Borrowed(key)) };
        let Some(key) = unescaped else { return Ok(None) };
        match (self.value.get(key.as_ref()), node.field(&key)) {
            (Some(Value::Null), _) if self.has_fields() => Ok(None),
            (Some(value), Some(schema)) => Val::typed(value, schema).map(Some),
            _ => Ok(None),
        }
    }

    fn keys(&self) -> impl Iterator<Item = Text<'a>> {
        let (node, escaped) = (self.node, self.has_fields());
        self.value.keys().filter(move |key| node.is_none_or(|n| n.field(key).is_some())).map(move |key| {
            match escaped.then(|| names::escape(key)).flatten() {
                Some(Cow::Owned(escaped)) => Text::Made(Rc::from(escaped)),
                _ => Text::Borrowed(key),
            }
        })
    }
}

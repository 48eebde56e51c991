//! When two values are equal, and which comes first.
//!
//! Lists of a custom resource are compared as their list type says: `map` and `set` know no order. Objects with fields that the
//! schema does not know (`x-kubernetes-preserve-unknown-fields`) are compared as the API server does it, which finds a changed
//! value but **not a changed key**: `{"a": 1}` equals `{"b": 1}` there.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::value::{Data, Fault, Val};
use crate::apiserver::schema::ListType;

impl Val<'_> {
    /// Whether the two are equal. Values of different types are not, but for numbers; some comparisons are errors.
    pub(crate) fn equals(&self, other: &Self) -> Result<bool, Fault> {
        if matches!(self, Self::Null) || matches!(other, Self::Null) {
            return Ok(matches!((self, other), (Self::Null, Self::Null)));
        }
        Ok(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => **a == **b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Span(a), Self::Span(b)) => a == b,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Quantity(a), Self::Quantity(b)) => a.compare(b) == Ordering::Equal,
            (Self::Int(_) | Self::Uint(_) | Self::Double(_), Self::Int(_) | Self::Uint(_) | Self::Double(_)) => {
                numbers(self, other) == Some(Ordering::Equal)
            }
            (Self::List(_) | Self::Array(_), Self::List(_) | Self::Array(_)) => return self.equals_list(other),
            (Self::Object(a), Self::Object(b)) if a.node.is_some() => return equals_objects(a, b),
            (Self::Map(_) | Self::Object(_), Self::Map(_) | Self::Object(_)) => return self.equals_map(other),
            (Self::Opaque(a), Self::Opaque(b)) => a == b,
            (Self::Optional(None), Self::Optional(None)) => true,
            (Self::Optional(Some(a)), Self::Optional(Some(b))) => return a.equals(b),
            // Data with a schema is compared with its like only.
            (Self::Object(Data { node: Some(_), .. }) | Self::Array(Data { node: Some(_), .. }), _) => {
                return Err(Fault::no_such_overload());
            }
            _ => false,
        })
    }

    fn equals_list(&self, other: &Self) -> Result<bool, Fault> {
        if self.size()? != other.size()? {
            return Ok(false);
        }
        let list_type = match self {
            Self::Array(array) => array.list_type(),
            _ => ListType::Atomic,
        };
        let (own, others) = (self.each()?, other.each()?);
        match list_type {
            ListType::Atomic => {
                for (a, b) in own.into_iter().zip(others) {
                    if !a?.equals(&b?)? {
                        return Ok(false);
                    }
                }
            }
            ListType::Set => {
                let own = own.into_iter().collect::<Result<Vec<_>, _>>()?;
                for b in others {
                    if !contains(&own, &b?)? {
                        return Ok(false);
                    }
                }
            }
            ListType::Map => {
                let keys = match self {
                    Self::Array(Data { node: Some(node), .. }) => node.list_keys.as_slice(),
                    _ => &[],
                };
                let own = own.into_iter().collect::<Result<Vec<_>, _>>()?;
                for b in others {
                    let b = b?;
                    let mut found = None;
                    // The last of several with one key counts, as in a map that is filled in order.
                    for a in own.iter().rev() {
                        if same_key(a, &b, keys) {
                            found = Some(a);
                            break;
                        }
                    }
                    match found {
                        Some(a) if a.equals(&b)? => {}
                        _ => return Ok(false),
                    }
                }
            }
        }
        Ok(true)
    }

    fn equals_map(&self, other: &Self) -> Result<bool, Fault> {
        if self.size()? != other.size()? {
            return Ok(false);
        }
        for key in self.each()? {
            let key = key?;
            let (Some(own), Some(others)) = (self.entry(&key)?, other.entry(&key)?) else { return Ok(false) };
            if !own.equals(&others)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Which comes first, of two values that are in an order.
    pub(crate) fn compare(&self, other: &Self) -> Result<Ordering, Fault> {
        let order = match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some((**a).cmp(&**b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Span(a), Self::Span(b)) => Some(a.cmp(b)),
            (Self::Int(_) | Self::Uint(_) | Self::Double(_), Self::Int(_) | Self::Uint(_) | Self::Double(_)) => {
                return numbers(self, other).ok_or(Fault::of("NaN values cannot be ordered"));
            }
            _ => None,
        };
        order.ok_or(Fault::no_such_overload())
    }
}

/// Whether one of the values equals this one; an error of a comparison counts only if none does.
pub(super) fn contains(values: &[Val<'_>], wanted: &Val<'_>) -> Result<bool, Fault> {
    let mut fault = None;
    for value in values {
        match value.equals(wanted) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => fault = Some(error),
        }
    }
    fault.map_or(Ok(false), Err)
}

fn same_key(a: &Val<'_>, b: &Val<'_>, keys: &[String]) -> bool {
    let (Val::Object(a), Val::Object(b)) = (a, b) else { return false };
    keys.iter().all(|key| a.value.get(key) == b.value.get(key))
}

fn equals_objects(a: &Data<'_, Map<String, Value>>, b: &Data<'_, Map<String, Value>>) -> Result<bool, Fault> {
    let Some(node) = a.node else { return Ok(false) };
    if a.value.len() != b.value.len() {
        return Ok(false);
    }
    let named = node.has_fields();
    let found = |object: &Data<'_, Map<String, Value>>, key: &str| {
        object.value.get(key).is_some_and(|value| !(named && value.is_null()))
    };
    for (key, value) in a.value {
        if let Some(schema) = node.field(key) {
            if found(a, key) != found(b, key) {
                return Ok(false);
            }
            if let (true, Some(other)) = (found(a, key), b.value.get(key))
                && !Val::typed(value, schema)?
                    .equals(&Val::typed(other, b.node.and_then(|n| n.field(key)).unwrap_or(schema))?)?
            {
                return Ok(false);
            }
        } else if b.value.get(key).is_some_and(|other| other != value) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[expect(clippy::cast_precision_loss, reason = "integers beside doubles are compared as doubles")]
fn numbers(a: &Val<'_>, b: &Val<'_>) -> Option<Ordering> {
    let wide = |value: &Val<'_>| match value {
        Val::Int(i) => Some(i128::from(*i)),
        Val::Uint(u) => Some(i128::from(*u)),
        _ => None,
    };
    let double = |value: &Val<'_>| match value {
        Val::Int(i) => *i as f64,
        Val::Uint(u) => *u as f64,
        Val::Double(d) => *d,
        _ => f64::NAN,
    };
    match (wide(a), wide(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => double(a).partial_cmp(&double(b)),
    }
}

//! What an expression yields.

use std::collections::BTreeMap;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::Val;
use serde_json::{Number, Value};

use super::ExpressionError;
use super::amount::Amount;
use crate::quantity::{Quantity, QuantityError};

/// The result of an evaluation, with its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that was written or given as unsigned.
    UInt(u64),
    /// A floating-point number, which is not exact.
    Float(f64),
    /// A text.
    Text(String),
    /// An exact amount.
    Quantity(Quantity),
    /// A list.
    List(Vec<Outcome>),
    /// A map; keys that are not text are written as text.
    Map(BTreeMap<String, Outcome>),
}

impl Outcome {
    /// Copies a value out of the engine. How large it can be is bounded by the meter.
    pub(super) fn of(value: &dyn Val) -> Result<Self, ExpressionError> {
        if let Some(amount) = value.downcast_ref::<Amount>() {
            return Ok(Self::Quantity(amount.0));
        }
        if value.downcast_ref::<CelNull>().is_some() {
            return Ok(Self::Null);
        }
        if let Some(boolean) = value.downcast_ref::<CelBool>() {
            return Ok(Self::Bool(*boolean.inner()));
        }
        if let Some(int) = value.downcast_ref::<CelInt>() {
            return Ok(Self::Int(*int.inner()));
        }
        if let Some(uint) = value.downcast_ref::<CelUInt>() {
            return Ok(Self::UInt(*uint.inner()));
        }
        if let Some(double) = value.downcast_ref::<CelDouble>() {
            return Ok(Self::Float(*double.inner()));
        }
        if let Some(text) = value.downcast_ref::<CelString<'_>>() {
            return Ok(Self::Text(text.inner().to_owned()));
        }
        if let Some(list) = value.downcast_ref::<CelList<'_>>() {
            return list
                .inner()
                .iter()
                .map(|element| Self::of(element.as_ref()))
                .collect::<Result<_, _>>()
                .map(Self::List);
        }
        if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
            return map
                .inner()
                .iter()
                .map(|(key, element)| Ok((key_text(key), Self::of(element.as_ref())?)))
                .collect::<Result<_, _>>()
                .map(Self::Map);
        }
        Err(ExpressionError::WrongType {
            wanted: "plain data",
            got: format!("a value of type {}", value.get_type().name()),
        })
    }

    /// The result as JSON; a quantity becomes its canonical text.
    pub fn into_json(self) -> Result<Value, ExpressionError> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::from(value),
            Self::UInt(value) => Value::from(value),
            Self::Float(value) => Number::from_f64(value).map(Value::Number).ok_or_else(|| {
                ExpressionError::WrongType { wanted: "a finite number", got: format!("the number {value}") }
            })?,
            Self::Text(value) => Value::String(value),
            Self::Quantity(value) => Value::String(value.to_string()),
            Self::List(elements) => elements.into_iter().map(Self::into_json).collect::<Result<_, _>>()?,
            Self::Map(fields) => fields
                .into_iter()
                .map(|(name, field)| Ok((name, field.into_json()?)))
                .collect::<Result<serde_json::Map<_, _>, ExpressionError>>()?
                .into(),
        })
    }

    /// The result as an exact amount: a quantity, a whole number of units, or the text of a quantity.
    pub fn into_quantity(self) -> Result<Quantity, ExpressionError> {
        let failed = |error: QuantityError| ExpressionError::Failed { message: error.to_string() };
        match self {
            Self::Quantity(value) => Ok(value),
            Self::Int(value) => Quantity::try_from(value).map_err(failed),
            Self::UInt(value) => value.to_string().parse().map_err(failed),
            Self::Text(value) => value.parse().map_err(failed),
            other => Err(other.wrong_type("an exact amount, such as quantity(\"10Gi\"), a whole number or its text")),
        }
    }

    /// The result as it stands in the middle of a text, or `None` for what has no place there.
    pub fn into_text(self) -> Result<String, ExpressionError> {
        match self {
            Self::Bool(value) => Ok(value.to_string()),
            Self::Int(value) => Ok(value.to_string()),
            Self::UInt(value) => Ok(value.to_string()),
            Self::Text(value) => Ok(value),
            Self::Quantity(value) => Ok(value.to_string()),
            other => Err(other.wrong_type("a text, a whole number, an amount, or true or false")),
        }
    }

    /// The error that this result is not what is needed.
    pub(crate) fn wrong_type(&self, wanted: &'static str) -> ExpressionError {
        let got = match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::UInt(_) => "a whole number",
            Self::Float(_) => "a floating-point number",
            Self::Text(_) => "a text",
            Self::Quantity(_) => "a quantity",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        };
        ExpressionError::WrongType { wanted, got: got.to_owned() }
    }
}

fn key_text(key: &CelMapKey<'_>) -> String {
    match key {
        CelMapKey::Bool(key) => key.inner().to_string(),
        CelMapKey::Int(key) => key.inner().to_string(),
        CelMapKey::String(key) => key.inner().to_owned(),
        CelMapKey::UInt(key) => key.inner().to_string(),
    }
}

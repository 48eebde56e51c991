//! The values that an expression's variables stand for.

use std::collections::{BTreeMap, HashMap};

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde_json::Value;

use super::ExpressionError;
use super::meter::{METER, Meter};

/// How deep data may be nested for an expression to look at it; what Kubernetes stores stays well below.
const MAX_DEPTH: usize = 64;

/// JSON values by the names of the variables that stand for them.
///
/// A whole number becomes an int (a uint above 2^63-1), any other number a double.
#[derive(Debug, Default)]
pub struct Bindings {
    values: BTreeMap<String, Box<dyn Val>>,
}

impl Bindings {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable, or replaces it.
    pub fn with(mut self, variable: &str, value: &Value) -> Result<Self, ExpressionError> {
        let value = convert(value, 0)
            .ok_or_else(|| ExpressionError::DataTooDeep { variable: variable.to_owned(), max: MAX_DEPTH })?;
        self.values.insert(variable.to_owned(), value);
        Ok(self)
    }

    pub(super) fn scope<'a>(&'a self, meter: &'a Meter) -> Scope<'a> {
        Scope { bindings: self, meter }
    }
}

/// What one evaluation sees: the variables and its meter.
pub(super) struct Scope<'a> {
    bindings: &'a Bindings,
    meter: &'a Meter,
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if variable == METER {
            return Some(CowVal::Borrowed(self.meter));
        }
        self.bindings.values.get(variable).map(|value| CowVal::Borrowed(value.as_ref()))
    }
}

/// `None` if the value is nested too deep.
fn convert(value: &Value, depth: usize) -> Option<Box<dyn Val>> {
    if depth > MAX_DEPTH {
        return None;
    }
    let deeper = depth.saturating_add(1);
    Some(match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Box::new(CelInt::from(int)),
            (None, Some(uint)) => Box::new(CelUInt::from(uint)),
            (None, None) => Box::new(CelDouble::from(number.as_f64()?)),
        },
        Value::String(text) => Box::new(CelString::from(text.clone())),
        Value::Array(elements) => {
            let elements: Option<Vec<Box<dyn Val>>> = elements.iter().map(|element| convert(element, deeper)).collect();
            Box::new(CelList::from(elements?))
        }
        Value::Object(fields) => {
            let fields: Option<HashMap<CelMapKey<'static>, Box<dyn Val>>> = fields
                .iter()
                .map(|(name, field)| Some((CelMapKey::from(name.clone()), convert(field, deeper)?)))
                .collect();
            Box::new(CelMap::from(fields?))
        }
    })
}

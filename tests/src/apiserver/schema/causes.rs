//! What is wrong with a field, in the words of the API server.

use serde_json::Value;

/// What is wrong with a field: an entry of `details.causes` of a `Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Reason, such as `FieldValueInvalid`.
    pub reason: String,
    /// Path of the field, such as `spec.items[0].name`; `<nil>` for the object as a whole.
    pub field: String,
    /// Sentence, without the field.
    pub message: String,
}

/// Reasons that keep rules from being checked.
pub(super) const BLOCKING: &[&str] = &[NOT_SUPPORTED, REQUIRED, TOO_LONG, TOO_MANY, TYPE_INVALID];

const INVALID: &str = "FieldValueInvalid";
const TYPE_INVALID: &str = "FieldValueTypeInvalid";
const REQUIRED: &str = "FieldValueRequired";
const NOT_SUPPORTED: &str = "FieldValueNotSupported";
const DUPLICATE: &str = "FieldValueDuplicate";
const FORBIDDEN: &str = "FieldValueForbidden";
const TOO_LONG: &str = "FieldValueTooLong";
const TOO_MANY: &str = "FieldValueTooMany";

impl Cause {
    fn new(reason: &str, field: &str, message: String) -> Self {
        // The root itself has no path.
        let field = field.trim_start_matches('.');
        let field = if field.is_empty() { "<nil>" } else { field };
        Self { reason: reason.to_owned(), field: field.to_owned(), message }
    }

    pub(crate) fn invalid(field: &str, value: &Value, detail: &str) -> Self {
        Self::new(INVALID, field, format!("Invalid value: {}: {detail}", shown(value)))
    }

    /// An invalid value that is not shown.
    pub(super) fn invalid_whole(field: &str, detail: &str) -> Self {
        Self::new(INVALID, field, format!("Invalid value: {detail}"))
    }

    pub(super) fn type_invalid(field: &str, value: &Value, detail: &str) -> Self {
        Self::new(TYPE_INVALID, field, format!("Invalid value: {}: {detail}", shown(value)))
    }

    pub(crate) fn required(field: &str, detail: &str) -> Self {
        Self::new(REQUIRED, field, detailed("Required value", detail))
    }

    pub(super) fn forbidden(field: &str, detail: &str) -> Self {
        Self::new(FORBIDDEN, field, detailed("Forbidden", detail))
    }

    pub(super) fn duplicate(field: &str, value: Option<&Value>) -> Self {
        let shown = value.map(|v| format!(": {}", shown(v))).unwrap_or_default();
        Self::new(DUPLICATE, field, format!("Duplicate value{shown}"))
    }

    pub(super) fn not_supported(field: &str, value: &Value, supported: &[Value]) -> Self {
        let supported: Vec<String> =
            supported.iter().map(|v| quoted(&v.as_str().map_or_else(|| v.to_string(), str::to_owned))).collect();
        let detail =
            if supported.is_empty() { String::new() } else { format!(": supported values: {}", supported.join(", ")) };
        Self::new(NOT_SUPPORTED, field, format!("Unsupported value: {}{detail}", shown(value)))
    }

    pub(crate) fn too_long(field: &str, max: u64) -> Self {
        let bytes = if max == 1 { "byte" } else { "bytes" };
        Self::new(TOO_LONG, field, format!("Too long: may not be more than {max} {bytes}"))
    }

    pub(super) fn too_many(field: &str, count: usize, max: u64) -> Self {
        let items = if max == 1 { "item" } else { "items" };
        Self::new(TOO_MANY, field, format!("Too many: {count}: must have at most {max} {items}"))
    }

    pub(super) fn not_checked() -> Self {
        Self::invalid(
            "",
            &Value::Null,
            "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        )
    }

    /// Puts the field below another.
    pub(super) fn put_under(&mut self, parent: &str) {
        if self.field == "<nil>" {
            // Said about the value as a whole, or about no field at all.
            parent.clone_into(&mut self.field);
        } else {
            self.field = format!("{parent}.{}", self.field);
        }
    }
}

fn detailed(what: &str, detail: &str) -> String {
    if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") }
}

/// A value as messages show it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        // Go prints whole numbers without a fraction.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        other => other.to_string(),
    }
}

/// A text in Go's quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                let digit = |value: u32| char::from_digit(value, 16).unwrap_or('0');
                quoted.extend(['\\', 'x', digit(u32::from(c) >> 4), digit(u32::from(c) & 0xf)]);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

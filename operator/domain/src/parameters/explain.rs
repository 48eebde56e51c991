//! What the validator finds, in words for the person who orders.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use crate::finding::{Finding, pointer_to};

/// How much of an offending value or of a message is repeated, in characters.
const SHOWN_CHARS: usize = 80;
const MESSAGE_CHARS: usize = 400;

/// The findings that one error of the validator stands for.
pub(super) fn explain(error: &ValidationError<'_>, schema: &Value) -> Vec<Finding> {
    let place = error.instance_path().to_string();
    let rule = format!("parameters.{}", error.kind().keyword());
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Finding::new(pointer_to(&place, name), &rule, format!("{name} is required: add it"))]
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = known_properties(error, schema);
            unexpected
                .iter()
                .map(|name| {
                    let message = format!("{} is not a parameter here: remove it{known}", shown(name));
                    Finding::new(pointer_to(&place, name), &rule, message)
                })
                .collect()
        }
        _ => vec![Finding::new(place.clone(), &rule, format!("{} {}", subject(&place), sentence(error)))],
    }
}

/// A schema that the validator itself refuses.
pub(super) fn explain_schema(error: &ValidationError<'_>) -> Finding {
    let message = format!("this is not a valid schema: {}", sentence(error));
    Finding::new(error.instance_path().to_string(), "schema.invalid", message)
}

/// What is wrong with a value, without its name.
pub(super) fn sentence(error: &ValidationError<'_>) -> String {
    let value = shown(&error.instance().to_string());
    let sentence = match error.kind() {
        ValidationErrorKind::Type { kind } => format!("must be {}, not {value}", types(kind)),
        ValidationErrorKind::Enum { options } => format!("must be one of {}, not {value}", listed(options)),
        ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}, not {value}"),
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}, not {value}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}, not {value}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}, not {value}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}, not {value}"),
        ValidationErrorKind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}, not {value}"),
        ValidationErrorKind::MinLength { limit } => format!("must have at least {limit} characters: {value}"),
        ValidationErrorKind::MaxLength { limit } => format!("must have at most {limit} characters: {value}"),
        ValidationErrorKind::MinItems { limit } => format!("must have at least {limit} elements"),
        ValidationErrorKind::MaxItems { limit } => format!("must have at most {limit} elements"),
        ValidationErrorKind::MinProperties { limit } => format!("must have at least {limit} entries"),
        ValidationErrorKind::MaxProperties { limit } => format!("must have at most {limit} entries"),
        ValidationErrorKind::UniqueItems => "must not have the same element twice".to_owned(),
        ValidationErrorKind::Pattern { pattern } => format!("must match the pattern {pattern}, not {value}"),
        ValidationErrorKind::Format { format } if format == "quantity" => {
            format!("must be an amount that is not negative, such as 4, 500m or 10Gi, not {value}")
        }
        ValidationErrorKind::Format { format } => format!("must be a valid {format}, not {value}"),
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            "fits none of the forms that are allowed here".to_owned()
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            "fits several forms of which exactly one is allowed".to_owned()
        }
        ValidationErrorKind::Required { property } => format!("lacks the required {property}"),
        ValidationErrorKind::FalseSchema => "is not allowed here".to_owned(),
        ValidationErrorKind::Not { .. } => "has a form that is not allowed here".to_owned(),
        // The rest is rare enough for the validator's own words.
        _ => error.to_string(),
    };
    sentence.chars().take(MESSAGE_CHARS).collect()
}

/// `, or use one of a, b` from the schema that refused a property.
fn known_properties(error: &ValidationError<'_>, schema: &Value) -> String {
    let path = error.schema_path().to_string();
    let owner = path.strip_suffix("/additionalProperties").and_then(|owner| schema.pointer(owner));
    match owner.and_then(|owner| owner.get("properties")).and_then(Value::as_object) {
        Some(properties) if !properties.is_empty() => {
            let mut names: Vec<&str> = properties.keys().map(String::as_str).collect();
            names.sort_unstable();
            format!(", or use one of {}", names.join(", "))
        }
        _ => String::new(),
    }
}

fn subject(pointer: &str) -> String {
    match pointer.rsplit_once('/') {
        Some((_, name)) => name.replace("~1", "/").replace("~0", "~"),
        None => "the whole".to_owned(),
    }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(several) => several.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or "),
    }
}

fn listed(options: &Value) -> String {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    options.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

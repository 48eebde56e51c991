//! Errors of the engine, in words that name types and fields but never show values.
//!
//! The engine's own messages print the values involved: of any size, possibly confidential, and with the keys of a map in
//! an order that differs from run to run, so that a condition carrying one would never stop changing.

use cel::{ExecutionError, ParseErrors, Value};

use super::ExpressionError;

/// How much of a text that the engine gives is repeated, in characters.
const SHOWN_CHARS: usize = 240;

/// An error met while evaluating.
pub(super) fn explain(error: &ExecutionError) -> ExpressionError {
    let message = match error {
        ExecutionError::NoSuchKey(key) => format!("there is no field \"{key}\""),
        ExecutionError::UndeclaredReference(name) => format!("\"{name}\" is not known here"),
        ExecutionError::NoSuchOverload(call) => call.to_string(),
        ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(operator, _, _) => format!("the result of {operator} is too large for a whole number"),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            format!("{operator} does not work on {} and {}", name(left), name(right))
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} and {} cannot be compared", name(left), name(right))
        }
        ExecutionError::UnsupportedIndex(index, value) => {
            format!("{} cannot be used to look into {}", name(index), name(value))
        }
        ExecutionError::IndexOutOfBounds(Value::Int(index)) => format!("the list has no element {index}"),
        ExecutionError::IndexOutOfBounds(_) => "the list has no such element".to_owned(),
        ExecutionError::UnexpectedType { got, want } => format!("{want} is needed, not {got}"),
        ExecutionError::UnsupportedKeyType(key) => format!("{} cannot be a key of a map", name(key)),
        ExecutionError::DuplicateKey(_) => "a map has the same key twice".to_owned(),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("{expected} arguments are needed, not {actual}")
        }
        // What is left names internals of the engine only.
        _ => "the expression cannot be evaluated".to_owned(),
    };
    ExpressionError::Failed { message: cut(&message) }
}

/// The first error met while parsing.
pub(super) fn explain_syntax(errors: &ParseErrors) -> ExpressionError {
    let message = errors.errors.first().map_or_else(
        || "it cannot be read".to_owned(),
        |error| format!("line {}, column {}: {}", error.pos.0, error.pos.1, error.msg),
    );
    ExpressionError::Syntax { message: cut(&message) }
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Int(_) => "an int",
        Value::UInt(_) => "a uint",
        Value::Float(_) => "a double",
        Value::String(_) => "a string",
        Value::Bytes(_) => "bytes",
        Value::Bool(_) => "a bool",
        // The engine also puts null where a value, such as a quantity, is none of its own.
        Value::Null => "null or a quantity",
        _ => "a value",
    }
}

fn cut(message: &str) -> String {
    message.chars().take(SHOWN_CHARS).collect()
}

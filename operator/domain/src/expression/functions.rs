//! The functions that expressions can call, and the calls that the meter puts in.

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use cel::common::types::{
    CelBool, CelInt, CelList, CelMap, CelString, CelUInt, DYN_TYPE, INT_TYPE, STRING_TYPE, Type, UINT_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::ExpressionError;
use super::amount::{Amount, amount, no_overload};
use super::meter::{EACH, Meter, TIMES, USE};
use crate::quantity::Quantity;

/// Every function that can be called by name.
pub(super) const NAMES: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
    "dyn",
    "quantity",
    "isQuantity",
    "add",
    "sub",
    "compareTo",
    "isGreaterThan",
    "isLessThan",
    "max",
    "min",
];

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

/// The environment that every expression is compiled and evaluated in.
pub(super) fn environment() -> Result<Arc<Env>, ExpressionError> {
    static ENVIRONMENT: LazyLock<Option<Arc<Env>>> = LazyLock::new(|| declare().ok().map(Arc::new));
    ENVIRONMENT.clone().ok_or(ExpressionError::Crashed)
}

fn declare() -> Result<Env, DeclarationError> {
    let quantity = || amount_type().to_owned();
    let mut env = Env::stdlib();
    env.add_overload("quantity", "string_to_quantity", vec![STRING_TYPE], quantity_of_text)?;
    env.add_overload("quantity", "int_to_quantity", vec![INT_TYPE], quantity_of_int)?;
    env.add_overload("quantity", "uint_to_quantity", vec![UINT_TYPE], quantity_of_uint)?;
    env.add_overload("quantity", "quantity_to_quantity", vec![quantity()], first)?;
    env.add_overload("isQuantity", "is_quantity_string", vec![STRING_TYPE], is_quantity)?;
    env.add_overload("string", "quantity_to_string", vec![quantity()], string_of_quantity)?;
    env.add_overload("int", "quantity_to_int", vec![quantity()], int_of_quantity)?;
    env.add_overload("max", "max_quantity", vec![quantity(), quantity()], max)?;
    env.add_overload("max", "max_int", vec![INT_TYPE, INT_TYPE], max)?;
    env.add_overload("min", "min_quantity", vec![quantity(), quantity()], min)?;
    env.add_overload("min", "min_int", vec![INT_TYPE, INT_TYPE], min)?;
    env.add_member_overload("add", "quantity_add", quantity(), vec![quantity()], add)?;
    env.add_member_overload("sub", "quantity_sub", quantity(), vec![quantity()], sub)?;
    env.add_member_overload("compareTo", "quantity_compare_to", quantity(), vec![quantity()], compare_to)?;
    env.add_member_overload("isGreaterThan", "quantity_is_greater", quantity(), vec![quantity()], is_greater)?;
    env.add_member_overload("isLessThan", "quantity_is_less", quantity(), vec![quantity()], is_less)?;
    env.add_overload(USE, "meter_use", vec![DYN_TYPE, DYN_TYPE], meter_use)?;
    env.add_overload(EACH, "meter_each", vec![DYN_TYPE, DYN_TYPE, DYN_TYPE], meter_each)?;
    env.add_overload(TIMES, "times", vec![DYN_TYPE, DYN_TYPE], times)?;
    Ok(env)
}

fn amount_type() -> &'static Type {
    <Amount as Val>::cel_type()
}

/// The arguments as an array, however many a call of a declared overload has.
fn take<'b, 'v, const N: usize>(arguments: Arguments<'b, 'v>) -> Result<[CowVal<'b, 'v>; N], ExecutionError> {
    let actual = arguments.len();
    arguments.try_into().map_err(|_| ExecutionError::invalid_argument_count(N, actual))
}

fn first<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [value] = take(arguments)?;
    Ok(value)
}

fn quantity_of_text<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [value] = take(arguments)?;
    amount("quantity", text(&value)?.parse())
}

fn quantity_of_int<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [value] = take(arguments)?;
    let units = value.downcast_ref::<CelInt>().ok_or_else(ExecutionError::missing_argument_or_target)?;
    amount("quantity", Quantity::try_from(*units.inner()))
}

fn quantity_of_uint<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [value] = take(arguments)?;
    let units = value.downcast_ref::<CelUInt>().ok_or_else(ExecutionError::missing_argument_or_target)?;
    amount("quantity", units.inner().to_string().parse())
}

fn is_quantity<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [value] = take(arguments)?;
    boolean(text(&value)?.parse::<Quantity>().is_ok())
}

fn string_of_quantity<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [value] = take(arguments)?;
    Ok(CowVal::owned(CelString::from(quantity(&value)?.to_string())))
}

fn int_of_quantity<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [value] = take(arguments)?;
    let quantity = quantity(&value)?;
    let units = quantity
        .whole_units()
        .ok_or_else(|| ExecutionError::function_error("int", format!("{quantity} is not a whole number of units")))?;
    Ok(CowVal::owned(CelInt::from(units)))
}

fn add<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [left, right] = take(arguments)?;
    amount("add", quantity(&left)?.checked_add(&quantity(&right)?))
}

fn sub<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [left, right] = take(arguments)?;
    amount("sub", quantity(&left)?.checked_sub(&quantity(&right)?))
}

fn compare_to<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [left, right] = take(arguments)?;
    let order: i64 = match quantity(&left)?.cmp(&quantity(&right)?) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    };
    Ok(CowVal::owned(CelInt::from(order)))
}

fn is_greater<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [left, right] = take(arguments)?;
    boolean(quantity(&left)? > quantity(&right)?)
}

fn is_less<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [left, right] = take(arguments)?;
    boolean(quantity(&left)? < quantity(&right)?)
}

fn max<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [left, right] = take(arguments)?;
    Ok(if compare(&left, &right)? == Ordering::Less { right } else { left })
}

fn min<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [left, right] = take(arguments)?;
    Ok(if compare(&left, &right)? == Ordering::Greater { right } else { left })
}

/// `a * b`, with an int allowed on the left of a quantity.
fn times<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [left, right] = take(arguments)?;
    let int_first = left.downcast_ref::<CelInt>().is_some() && right.downcast_ref::<Amount>().is_some();
    let (factor, by) = if int_first { (right, left) } else { (left, right) };
    let mismatch = || no_overload("_*_", factor.as_ref(), by.as_ref());
    let product = factor.as_multiplier().ok_or_else(mismatch)?.mul(by.as_ref())?.into_owned();
    Ok(CowVal::Owned(product))
}

/// Pays for the size of a value and hands it on.
fn meter_use<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [meter, value] = take(arguments)?;
    if metered(&meter)?.pay_for(value.as_ref()) { Ok(value) } else { Err(spent()) }
}

/// Pays for all rounds of a loop and hands on what it runs over: a list, or the sorted keys of a map.
fn meter_each<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [meter, value, weight] = take(arguments)?;
    let meter = metered(&meter)?;
    let weight = weight.downcast_ref::<CelInt>().and_then(|w| u64::try_from(*w.inner()).ok()).unwrap_or(u64::MAX);
    let rounds = value.as_sizer().and_then(|sizer| u64::try_from(*sizer.size().inner()).ok()).unwrap_or(0);
    if !meter.pay(rounds.saturating_mul(weight)) || !meter.pay_for(value.as_ref()) {
        return Err(spent());
    }
    let Some(map) = value.downcast_ref::<CelMap<'_>>() else { return Ok(value) };
    let mut keys: Vec<_> = map.inner().keys().collect();
    keys.sort();
    let keys: Vec<Box<dyn Val + 'v>> = keys.into_iter().map(|key| key.inner().clone_as_boxed()).collect();
    Ok(CowVal::owned(CelList::from(keys)))
}

fn metered<'a>(meter: &'a CowVal<'_, '_>) -> Result<&'a Meter, ExecutionError> {
    meter.downcast_ref::<Meter>().ok_or_else(spent)
}

/// The text is never shown: a spent meter is reported as such after the evaluation.
fn spent() -> ExecutionError {
    ExecutionError::function_error("meter", "spent")
}

fn text<'a>(value: &'a CowVal<'_, '_>) -> Result<&'a str, ExecutionError> {
    value.downcast_ref::<CelString<'_>>().map(CelString::inner).ok_or_else(ExecutionError::missing_argument_or_target)
}

fn quantity(value: &CowVal<'_, '_>) -> Result<Quantity, ExecutionError> {
    value.downcast_ref::<Amount>().map(|amount| amount.0).ok_or_else(ExecutionError::missing_argument_or_target)
}

fn compare(left: &CowVal<'_, '_>, right: &CowVal<'_, '_>) -> Result<Ordering, ExecutionError> {
    left.as_comparer().ok_or_else(ExecutionError::missing_argument_or_target)?.compare(right.as_ref())
}

#[expect(clippy::unnecessary_wraps, reason = "every function answers with a Result")]
fn boolean<'b, 'v>(value: bool) -> Answer<'b, 'v> {
    Ok(CowVal::owned(CelBool::from(value)))
}

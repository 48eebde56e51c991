//! A quantity as a value of the expression language.

use std::any::Any;
use std::cmp::Ordering;

use cel::ExecutionError;
use cel::common::traits::{Adder, Comparer, Multiplier, Subtractor};
use cel::common::types::{CelInt, Type};
use cel::common::value::{CowVal, StaticVal, Val};

use crate::quantity::{Quantity, QuantityError};

/// An exact amount inside an evaluation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount(pub(super) Quantity);

/// The name of the type, as error messages show it.
static AMOUNT_TYPE: Type = Type::new_unspecified_type("quantity");

impl Val for Amount {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &AMOUNT_TYPE
    }

    fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_subtractor<'b, 'v>(&'b self) -> Option<&'b (dyn Subtractor + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_multiplier<'b, 'v>(&'b self) -> Option<&'b (dyn Multiplier + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_comparer(&self) -> Option<&dyn Comparer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| self.0 == other.0)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Amount {}

impl Adder for Amount {
    fn add<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        amount("+", self.0.checked_add(&operand("_+_", self, rhs)?))
    }
}

impl Subtractor for Amount {
    fn sub<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        amount("-", self.0.checked_sub(&operand("_-_", self, rhs)?))
    }
}

impl Multiplier for Amount {
    fn mul<'b, 'v>(&'b self, rhs: &(dyn Val + 'v)) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let times = rhs.downcast_ref::<CelInt>().ok_or_else(|| no_overload("_*_", self, rhs))?;
        amount("*", self.0.checked_mul(*times.inner()))
    }
}

impl Comparer for Amount {
    fn compare(&self, rhs: &dyn Val) -> Result<Ordering, ExecutionError> {
        Ok(self.0.cmp(&operand("compare", self, rhs)?))
    }
}

/// The result of a computation as a value, or as an error of the operator.
pub(super) fn amount<'b, 'v>(
    operator: &str,
    result: Result<Quantity, QuantityError>,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    match result {
        Ok(quantity) => Ok(CowVal::owned(Amount(quantity))),
        Err(error) => Err(ExecutionError::function_error(operator, error)),
    }
}

fn operand(operator: &str, lhs: &Amount, rhs: &dyn Val) -> Result<Quantity, ExecutionError> {
    rhs.downcast_ref::<Amount>().map(|amount| amount.0).ok_or_else(|| no_overload(operator, lhs, rhs))
}

/// The error of an operator that does not fit the types on its sides.
pub(super) fn no_overload(operator: &str, lhs: &dyn Val, rhs: &dyn Val) -> ExecutionError {
    let types = [lhs, rhs].map(|side| side.get_type().name().to_owned());
    ExecutionError::no_such_overload(operator, types.to_vec())
}

//! What an order is charged, and what that charge pays for at the site: exact amounts from expressions.

use std::collections::BTreeMap;

use serde_json::Value;

use super::meter::Meter;
use super::{Bindings, CostLimits, Expression, ExpressionError};
use crate::amounts::{Amounts, ResourceName, ResourceNameError};
use crate::quantity::Quantity;

/// The variables that charges and ceilings are computed from.
const VARIABLES: &[&str] = &["parameters", "count"];

/// What an order of an item is charged, such as `{"cpu": "quantity(parameters.cpu) * count"}`.
#[derive(Debug)]
pub struct Charges(AmountExpressions);

/// What the charge pays for at the site, by keys of a ResourceQuota, such as `requests.cpu`.
#[derive(Debug)]
pub struct Ceilings(AmountExpressions);

/// A charge or ceiling that cannot be used or has no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount of {resource}, `{expression}`: {cause}")]
pub struct ChargeError {
    /// The resource or ResourceQuota key.
    pub resource: String,
    /// The expression as written.
    pub expression: String,
    /// What is wrong with it.
    #[source]
    pub cause: ChargeCause,
}

/// What is wrong with a charge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChargeCause {
    /// The name cannot name a resource.
    #[error(transparent)]
    Name(#[from] ResourceNameError),
    /// The expression has no exact amount.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// The amount is below zero.
    #[error("yields {0}, but nothing can be charged less than zero")]
    Negative(Quantity),
}

impl Charges {
    /// Compiles the charges of an item: resource name to expression over `parameters` and `count`.
    pub fn compile(charges: &BTreeMap<String, String>, limits: &CostLimits) -> Result<Self, ChargeError> {
        for (resource, expression) in charges {
            ResourceName::try_from(resource.as_str()).map_err(|cause| fault(resource, expression, cause))?;
        }
        AmountExpressions::compile(charges, limits).map(Self)
    }

    /// What `count` of the item with these parameters is charged.
    pub fn evaluate(&self, parameters: &Value, count: i64) -> Result<Amounts, ChargeError> {
        self.0
            .evaluate(parameters, count)?
            .map(|(resource, expression, quantity)| {
                let quantity = quantity?;
                match ResourceName::try_from(resource) {
                    Ok(name) => Ok((name, quantity)),
                    Err(cause) => Err(fault(resource, expression.source(), cause)),
                }
            })
            .collect()
    }
}

impl Ceilings {
    /// Compiles the ceilings of an item: ResourceQuota key to expression over `parameters` and `count`.
    pub fn compile(ceilings: &BTreeMap<String, String>, limits: &CostLimits) -> Result<Self, ChargeError> {
        AmountExpressions::compile(ceilings, limits).map(Self)
    }

    /// The ResourceQuota values that `count` of the item with these parameters needs.
    pub fn evaluate(&self, parameters: &Value, count: i64) -> Result<BTreeMap<String, Quantity>, ChargeError> {
        self.0.evaluate(parameters, count)?.map(|(key, _, quantity)| Ok((key.to_owned(), quantity?))).collect()
    }
}

#[derive(Debug)]
struct AmountExpressions {
    expressions: BTreeMap<String, Expression>,
    limits: CostLimits,
}

impl AmountExpressions {
    fn compile(sources: &BTreeMap<String, String>, limits: &CostLimits) -> Result<Self, ChargeError> {
        let expressions = sources
            .iter()
            .map(|(resource, source)| match Expression::compile(source, VARIABLES, limits) {
                Ok(expression) => Ok((resource.clone(), expression)),
                Err(cause) => Err(fault(resource, source, cause)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { expressions, limits: *limits })
    }

    /// Every amount in the order of names; all of them together have the steps of one expression.
    fn evaluate(
        &self,
        parameters: &Value,
        count: i64,
    ) -> Result<impl Iterator<Item = (&str, &Expression, Result<Quantity, ChargeError>)>, ChargeError> {
        let bindings = Bindings::new().with("parameters", parameters).and_then(|b| b.with("count", &count.into()));
        let bindings = bindings.map_err(|cause| fault("every resource", "parameters", cause))?;
        let meter = Meter::new(self.limits.steps);
        Ok(self.expressions.iter().map(move |(resource, expression)| {
            let quantity = match expression.evaluate_on(&bindings, &meter).and_then(super::Outcome::into_quantity) {
                Ok(quantity) if quantity.is_negative() => {
                    Err(fault(resource, expression.source(), ChargeCause::Negative(quantity)))
                }
                Ok(quantity) => Ok(quantity),
                Err(cause) => Err(fault(resource, expression.source(), cause)),
            };
            (resource.as_str(), expression, quantity)
        }))
    }
}

fn fault(resource: &str, expression: &str, cause: impl Into<ChargeCause>) -> ChargeError {
    ChargeError { resource: resource.to_owned(), expression: expression.to_owned(), cause: cause.into() }
}

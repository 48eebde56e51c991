//! Evaluation of a tree.

use std::rc::Rc;

use super::Access;
use super::arithmetic::arithmetic;
use super::equality::contains;
use super::functions::{Function, call};
use super::tree::{Binary, Literal, Loop, Node};
use super::value::{Fault, Outcome, Text, Val};

/// What the declared variables of an expression are.
pub(crate) trait Variables<'a> {
    /// The variable of this index, computed if need be.
    fn get(&self, index: usize) -> Outcome<'a>;

    /// Whether the sender of the request has a right.
    fn authorize(&self, access: &Access) -> Result<bool, Fault> {
        let _ = access;
        Err(Fault::of("there is no authorizer here"))
    }
}

pub(super) struct Machine<'a, 's> {
    variables: &'s dyn Variables<'a>,
    /// Variables that macros bind; an accumulated value may be an error.
    locals: Vec<Outcome<'a>>,
}

impl<'a, 's> Machine<'a, 's> {
    pub(super) const fn new(variables: &'s dyn Variables<'a>) -> Self {
        Self { variables, locals: Vec::new() }
    }

    pub(super) fn evaluate(&mut self, node: &'a Node) -> Outcome<'a> {
        match node {
            Node::Literal(literal) => Ok(value_of(literal)),
            Node::Variable(index) => self.variables.get(*index),
            Node::Local(place) => self.locals.get(*place).cloned().unwrap_or(Err(Fault::of("no such variable"))),
            Node::Select { of, field, test } => self.select(of, field, *test),
            Node::OptionalSelect { of, field } => {
                let of = self.evaluate(of)?;
                optional(&of, |of| of.field(field))
            }
            Node::Index { of, at, optional: true } => {
                let (of, at) = (self.evaluate(of)?, self.evaluate(at)?);
                optional(&of, |of| index(of, &at))
            }
            Node::Index { of, at, optional: false } => {
                let (of, at) = (self.evaluate(of)?, self.evaluate(at)?);
                if matches!(of, Val::Optional(_)) {
                    return optional(&of, |of| index(of, &at));
                }
                index(&of, &at)?.ok_or_else(|| match at {
                    Val::Text(key) => Fault::no_such_key(&key),
                    Val::Int(at) => Fault::new(format!("index out of bounds: {at}")),
                    _ => Fault::of("no such key"),
                })
            }
            Node::And(left, right) => self.logical(left, right, false),
            Node::Or(left, right) => self.logical(left, right, true),
            Node::Not(of) => Ok(Val::Bool(!self.evaluate(of)?.bool()?)),
            Node::Negate(of) => match self.evaluate(of)? {
                Val::Int(value) => value.checked_neg().map(Val::Int).ok_or(Fault::of("integer overflow")),
                Val::Double(value) => Ok(Val::Double(-value)),
                _ => Err(Fault::no_such_overload()),
            },
            Node::NotStrictlyFalse(of) => Ok(Val::Bool(!matches!(self.evaluate(of), Ok(Val::Bool(false))))),
            Node::If { condition, then, otherwise } => {
                if self.evaluate(condition)?.bool()? {
                    self.evaluate(then)
                } else {
                    self.evaluate(otherwise)
                }
            }
            Node::Binary { operator, left, right } => {
                let (left, right) = (self.evaluate(left)?, self.evaluate(right)?);
                binary(*operator, &left, &right)
            }
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Matches { text, pattern } => Ok(Val::Bool(pattern.is_match(self.evaluate(text)?.text()?))),
            Node::Call(function, arguments) => {
                let arguments = arguments.iter().map(|a| self.evaluate(a)).collect::<Result<Vec<_>, _>>()?;
                call(*function, &arguments, self.variables).map_err(|fault| named(fault, *function, &arguments))
            }
            Node::Loop(of) => self.run(of),
        }
    }

    fn select(&mut self, of: &'a Node, field: &str, test: bool) -> Outcome<'a> {
        let of = self.evaluate(of)?;
        match (of, test) {
            (Val::Optional(None), true) => Ok(Val::Bool(false)),
            (Val::Optional(Some(of)), true) => Ok(Val::Bool(of.field(field)?.is_some())),
            (of, true) => Ok(Val::Bool(of.field(field)?.is_some())),
            // What is selected from an optional is optional.
            (of @ Val::Optional(_), false) => optional(&of, |of| of.field(field)),
            (of, false) => of.field(field)?.ok_or_else(|| Fault::no_such_key(field)),
        }
    }

    /// `&&` and `||`: either operand may decide, even when the other is an error.
    fn logical(&mut self, left: &'a Node, right: &'a Node, decides: bool) -> Outcome<'a> {
        let left = self.evaluate(left).and_then(|v| v.bool());
        if left == Ok(decides) {
            return Ok(Val::Bool(decides));
        }
        let right = self.evaluate(right).and_then(|v| v.bool());
        if right == Ok(decides) {
            return Ok(Val::Bool(decides));
        }
        left?;
        right.map(Val::Bool)
    }

    fn list(&mut self, elements: &'a [(Node, bool)]) -> Outcome<'a> {
        let mut list = Vec::with_capacity(elements.len());
        for (element, is_optional) in elements {
            list.extend(present(self.evaluate(element)?, *is_optional)?);
        }
        Ok(Val::List(Rc::new(list)))
    }

    fn map(&mut self, entries: &'a [(Node, Node, bool)]) -> Outcome<'a> {
        let mut map: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(entries.len());
        for (key, value, is_optional) in entries {
            let (key, value) = (self.evaluate(key)?, self.evaluate(value)?);
            for (known, _) in &map {
                if known.equals(&key)? {
                    return Err(Fault::of("Failed with repeated key"));
                }
            }
            map.extend(present(value, *is_optional)?.map(|value| (key, value)));
        }
        Ok(Val::Map(Rc::new(map)))
    }

    fn run(&mut self, of: &'a Loop) -> Outcome<'a> {
        let range = self.evaluate(&of.range)?;
        let start = self.evaluate(&of.start);
        let place = self.locals.len();
        self.locals.push(start);
        for (at, each) in range.each()?.into_iter().enumerate() {
            if of.pairs {
                let (first, second) = pair(&range, at, each);
                self.locals.extend([first, second]);
            } else {
                self.locals.push(each);
            }
            let goes_on = matches!(self.evaluate(&of.condition), Ok(Val::Bool(true)));
            let next = goes_on.then(|| self.evaluate(&of.step));
            self.locals.truncate(place.saturating_add(1));
            match (next, self.locals.last_mut()) {
                (Some(next), Some(accumulated)) => *accumulated = next,
                _ => break,
            }
        }
        let result = self.evaluate(&of.result);
        self.locals.truncate(place);
        result
    }
}

/// That the types do not fit, with the function and the types.
fn named(fault: Fault, function: Function, arguments: &[Val<'_>]) -> Fault {
    if fault != Fault::no_such_overload() {
        return fault;
    }
    if function == Function::Size {
        return Fault::new(format!("{}: size", fault.text()));
    }
    let types: Vec<&str> = arguments.iter().map(Val::type_name).collect();
    Fault::new(format!("{}: {}({})", fault.text(), function.name(), types.join(", ")))
}

/// What two variables are bound to: index and element of a list, key and value of a map.
fn pair<'a>(range: &Val<'a>, at: usize, each: Outcome<'a>) -> (Outcome<'a>, Outcome<'a>) {
    if matches!(range, Val::List(_) | Val::Array(_)) {
        return (Ok(Val::Int(i64::try_from(at).unwrap_or(i64::MAX))), each);
    }
    let value = each.clone().and_then(|key| range.entry(&key)?.ok_or(Fault::of("no such key")));
    (each, value)
}

fn value_of(literal: &Literal) -> Val<'_> {
    match literal {
        Literal::Null => Val::Null,
        Literal::Bool(value) => Val::Bool(*value),
        Literal::Int(value) => Val::Int(*value),
        Literal::Uint(value) => Val::Uint(*value),
        Literal::Double(value) => Val::Double(*value),
        Literal::Text(value) => Val::Text(Text::Borrowed(value)),
        Literal::Bytes(value) => Val::Bytes(Rc::from(value.as_slice())),
        Literal::Type(name) => Val::Type(name),
    }
}

/// What is found in a value, or in what an optional holds, as an optional.
fn optional<'a>(of: &Val<'a>, find: impl Fn(&Val<'a>) -> Result<Option<Val<'a>>, Fault>) -> Outcome<'a> {
    let found = match of {
        Val::Optional(None) => None,
        Val::Optional(Some(of)) => find(of)?,
        of => find(of)?,
    };
    Ok(Val::Optional(found.map(Rc::new)))
}

fn index<'a>(of: &Val<'a>, at: &Val<'a>) -> Result<Option<Val<'a>>, Fault> {
    match (of, at) {
        (Val::List(_) | Val::Array(_), Val::Int(at)) => usize::try_from(*at).map_or(Ok(None), |at| of.element(at)),
        (Val::Map(_) | Val::Object(_), _) => of.entry(at),
        (Val::List(_) | Val::Array(_), at) => Err(Fault::no_place(at)),
        // Nothing is in anything else.
        _ => Ok(None),
    }
}

/// An element of a literal, which is left out if it is optional and there is none.
fn present(value: Val<'_>, is_optional: bool) -> Result<Option<Val<'_>>, Fault> {
    match (value, is_optional) {
        (value, false) => Ok(Some(value)),
        (Val::Optional(value), true) => Ok(value.map(|v| v.as_ref().clone())),
        _ => Err(Fault::no_such_overload()),
    }
}

fn binary<'a>(operator: Binary, left: &Val<'a>, right: &Val<'a>) -> Outcome<'a> {
    Ok(Val::Bool(match operator {
        Binary::Equals => left.equals(right)?,
        Binary::Differs => !left.equals(right)?,
        Binary::Less => left.compare(right)?.is_lt(),
        Binary::LessOrEqual => left.compare(right)?.is_le(),
        Binary::Greater => left.compare(right)?.is_gt(),
        Binary::GreaterOrEqual => left.compare(right)?.is_ge(),
        Binary::In => match right {
            Val::List(list) => contains(list, left)?,
            Val::Array(_) => contains(&right.each()?.into_iter().collect::<Result<Vec<_>, _>>()?, left)?,
            Val::Map(_) | Val::Object(_) => right.entry(left)?.is_some(),
            _ => return Err(Fault::no_such_overload()),
        },
        _ => return arithmetic(operator, left, right),
    }))
}

//! What an expression contains, found before it is ever run.

use std::collections::BTreeSet;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};

use super::{CostLimits, ExpressionError, functions};

/// What [`inspect`] found.
pub(super) struct Found {
    /// Names that are neither bound by a macro nor type names.
    pub(super) variables: BTreeSet<String>,
}

/// Walks the tree once, refusing what is too large or not available.
pub(super) fn inspect(tree: &IdedExpr, limits: &CostLimits) -> Result<Found, ExpressionError> {
    let mut inspector = Inspector { limits, nodes: 0, bound: Vec::new(), variables: BTreeSet::new() };
    inspector.visit(tree, 0)?;
    Ok(Found { variables: inspector.variables })
}

struct Inspector<'a> {
    limits: &'a CostLimits,
    nodes: usize,
    /// Names bound by the macros around the current node.
    bound: Vec<&'a str>,
    variables: BTreeSet<String>,
}

impl<'a> Inspector<'a> {
    fn visit(&mut self, node: &'a IdedExpr, depth: usize) -> Result<(), ExpressionError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > self.limits.nodes {
            return Err(ExpressionError::TooComplex { what: "parts", max: self.limits.nodes });
        }
        // Checked before going deeper, so that this walk is bounded too.
        if depth > self.limits.depth {
            return Err(ExpressionError::TooComplex { what: "levels of nesting", max: self.limits.depth });
        }
        let deeper = depth.saturating_add(1);
        match &node.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => {
                self.name(name);
                Ok(())
            }
            Expr::Select(select) => self.visit(&select.operand, deeper),
            Expr::Call(call) => self.call(call, deeper),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element, deeper)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, deeper)?;
                    self.visit(&entry.value, deeper)
                }
                EntryExpr::StructField(_) => Err(no_structs()),
            }),
            Expr::Comprehension(loops) => {
                self.visit(&loops.iter_range, deeper)?;
                let outside = self.bound.len();
                self.bound.push(&loops.iter_var);
                self.bound.extend(loops.iter_var2.as_deref());
                self.bound.push(&loops.accu_var);
                for part in [&loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result] {
                    self.visit(part, deeper)?;
                }
                self.bound.truncate(outside);
                Ok(())
            }
            Expr::Struct(_) => Err(no_structs()),
            Expr::Unspecified => Err(ExpressionError::Syntax { message: "the expression is empty".to_owned() }),
        }
    }

    fn call(&mut self, call: &'a CallExpr, deeper: usize) -> Result<(), ExpressionError> {
        let name = call.func_name.as_str();
        if name == "matches" {
            return Err(ExpressionError::Unavailable {
                what: "the function matches".to_owned(),
                instead: "use startsWith, endsWith or contains",
            });
        }
        if !OPERATORS.contains(&name) && !functions::NAMES.contains(&name) {
            return Err(ExpressionError::Unavailable {
                what: format!("the function {name}"),
                instead: "see the list of functions in the documentation of catalog items",
            });
        }
        call.target.iter().try_for_each(|target| self.visit(target, deeper))?;
        call.args.iter().try_for_each(|argument| self.visit(argument, deeper))
    }

    fn name(&mut self, name: &str) {
        // A leading dot only says "not a name bound by a macro".
        let (name, absolute) = name.strip_prefix('.').map_or((name, false), |name| (name, true));
        let bound = !absolute && self.bound.contains(&name);
        if !bound && !TYPES.contains(&name) {
            self.variables.insert(name.to_owned());
        }
    }
}

fn no_structs() -> ExpressionError {
    ExpressionError::Unavailable {
        what: "a struct literal".to_owned(),
        instead: "write a map, such as {\"key\": value}",
    }
}

/// The operators of the language that are offered, by the names the parser gives them.
const OPERATORS: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::NOT_STRICTLY_FALSE,
    operators::IN,
];

/// Names that stand for a type, as in `type(x) == int`.
const TYPES: &[&str] = &["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

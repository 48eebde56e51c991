//! Expressions as they are evaluated: parsed, macros expanded, every name resolved.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, anyhow, bail};
use cel::Env;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, operators,
};

use super::functions::Function;
use super::pattern;

/// A literal.
#[derive(Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// A type's name, such as `string`.
    Type(&'static str),
}

/// Operators of two strict operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Equals,
    Differs,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// A part of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Literal),
    /// A declared variable, by its index.
    Variable(usize),
    /// A variable that a macro binds, by its place on the stack.
    Local(usize),
    /// `of.field`, or `has(of.field)`.
    Select {
        of: Box<Node>,
        field: String,
        test: bool,
    },
    /// `of.?field`.
    OptionalSelect {
        of: Box<Node>,
        field: String,
    },
    /// `of[at]`, or `of[?at]`.
    Index {
        of: Box<Node>,
        at: Box<Node>,
        optional: bool,
    },
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// True unless the operand is false: an error is not.
    NotStrictlyFalse(Box<Node>),
    If {
        condition: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    Binary {
        operator: Binary,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// Elements, and whether each is optional.
    List(Vec<(Node, bool)>),
    /// Keys, values, and whether each entry is optional.
    Map(Vec<(Node, Node, bool)>),
    /// `matches` with a pattern that is known beforehand.
    Matches {
        text: Box<Node>,
        pattern: regex::Regex,
    },
    /// A function; the target of a method comes first.
    Call(Function, Vec<Node>),
    Loop(Box<Loop>),
}

/// What the macros over lists and maps come to.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) range: Node,
    pub(super) start: Node,
    pub(super) condition: Node,
    pub(super) step: Node,
    pub(super) result: Node,
    /// Whether two variables are bound: index and element, or key and value.
    pub(super) pairs: bool,
}

/// A compiled expression.
pub(super) struct Tree {
    pub(super) root: Node,
    /// Declared variables that it uses.
    pub(super) used: BTreeSet<usize>,
}

impl Tree {
    pub(super) fn compile(source: &str, variables: &[String]) -> Result<Self> {
        static ENVIRONMENT: LazyLock<Env> = LazyLock::new(Env::stdlib);
        let parser = ENVIRONMENT.parser().enable_optional_syntax(true);
        let parsed = parser.parse(source).map_err(|errors| anyhow!("{source:?} is no expression: {errors}"))?;
        let mut compiler = Compiler { variables, locals: Vec::new(), used: BTreeSet::new() };
        let root = compiler.node(&parsed).with_context(|| format!("the expression {source:?}"))?;
        Ok(Self { root, used: compiler.used })
    }
}

struct Compiler<'a> {
    variables: &'a [String],
    locals: Vec<String>,
    used: BTreeSet<usize>,
}

const TYPES: &[&str] = &["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

impl Compiler<'_> {
    fn boxed(&mut self, node: &IdedExpr) -> Result<Box<Node>> {
        self.node(node).map(Box::new)
    }

    fn node(&mut self, node: &IdedExpr) -> Result<Node> {
        Ok(match &node.expr {
            Expr::Literal(literal) => Node::Literal(match literal {
                LiteralValue::Null => Literal::Null,
                LiteralValue::Boolean(value) => Literal::Bool(*value.inner()),
                LiteralValue::Int(value) => Literal::Int(*value.inner()),
                LiteralValue::UInt(value) => Literal::Uint(*value.inner()),
                LiteralValue::Double(value) => Literal::Double(*value.inner()),
                LiteralValue::String(value) => Literal::Text(value.inner().to_owned()),
                LiteralValue::Bytes(value) => Literal::Bytes(value.inner().to_vec()),
            }),
            Expr::Ident(name) => self.name(name)?,
            Expr::Select(select) => {
                let entry = match &select.operand.expr {
                    Expr::Ident(of) if !select.test && !self.locals.contains(of) => {
                        self.declared(&format!("{of}.{}", select.field))
                    }
                    _ => None,
                };
                if let Some(variable) = entry {
                    return Ok(variable);
                }
                Node::Select { of: self.boxed(&select.operand)?, field: select.field.clone(), test: select.test }
            }
            Expr::Call(call) => self.call(call)?,
            Expr::List(list) => self.list(list)?,
            Expr::Map(map) => self.map(map)?,
            Expr::Comprehension(of) => self.comprehension(of)?,
            Expr::Struct(made) => bail!("messages ({}) are not modelled", made.type_name),
            Expr::Unspecified => bail!("it is empty"),
        })
    }

    fn declared(&mut self, name: &str) -> Option<Node> {
        let index = self.variables.iter().position(|known| known == name)?;
        self.used.insert(index);
        Some(Node::Variable(index))
    }

    fn name(&mut self, name: &str) -> Result<Node> {
        let plain = name.strip_prefix('.').unwrap_or(name);
        if plain == name
            && let Some(place) = self.locals.iter().rposition(|local| local == plain)
        {
            return Ok(Node::Local(place));
        }
        if let Some(variable) = self.declared(plain) {
            return Ok(variable);
        }
        match TYPES.iter().find(|known| **known == plain) {
            Some(known) => Ok(Node::Literal(Literal::Type(known))),
            None => bail!("undeclared reference to '{plain}'"),
        }
    }

    fn list(&mut self, list: &ListExpr) -> Result<Node> {
        let elements = list.elements.iter().enumerate();
        let elements = elements.map(|(at, e)| Ok((self.node(e)?, list.optional_indices.contains(&at))));
        Ok(Node::List(elements.collect::<Result<_>>()?))
    }

    fn map(&mut self, map: &MapExpr) -> Result<Node> {
        let entries = map.entries.iter().map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => Ok((self.node(&entry.key)?, self.node(&entry.value)?, entry.optional)),
            EntryExpr::StructField(field) => bail!("messages (with {}) are not modelled", field.field),
        });
        Ok(Node::Map(entries.collect::<Result<_>>()?))
    }

    fn comprehension(&mut self, of: &ComprehensionExpr) -> Result<Node> {
        let (range, start) = (self.node(&of.iter_range)?, self.node(&of.accu_init)?);
        let outside = self.locals.len();
        self.locals.push(of.accu_var.clone());
        let result = self.node(&of.result)?;
        self.locals.push(of.iter_var.clone());
        self.locals.extend(of.iter_var2.clone());
        let (condition, step) = (self.node(&of.loop_cond)?, self.node(&of.loop_step)?);
        self.locals.truncate(outside);
        let pairs = of.iter_var2.is_some();
        Ok(Node::Loop(Box::new(Loop { range, start, condition, step, result, pairs })))
    }

    fn call(&mut self, call: &CallExpr) -> Result<Node> {
        if let Some(operator) = self.operator(call)? {
            return Ok(operator);
        }
        let name = call.func_name.as_str();
        // `optional.of(x)` is a function with a name in two parts, unless there is a variable of that name.
        let space = match call.target.as_deref().map(|t| &t.expr) {
            Some(Expr::Ident(space)) if self.name(space).is_err() => Some(space.as_str()),
            _ => None,
        };
        let target = if space.is_some() { None } else { call.target.as_deref() };
        let full = space.map_or_else(|| name.to_owned(), |space| format!("{space}.{name}"));
        let arguments: Vec<Node> = target.into_iter().chain(&call.args).map(|a| self.node(a)).collect::<Result<_>>()?;
        let function = Function::of(&full, target.is_some(), arguments.len())
            .ok_or_else(|| anyhow!("the function {full} with {} arguments is not modelled", call.args.len()))?;
        if function == Function::Matches {
            return matches(arguments);
        }
        Ok(Node::Call(function, arguments))
    }

    fn operator(&mut self, call: &CallExpr) -> Result<Option<Node>> {
        let binary = match call.func_name.as_str() {
            operators::EQUALS => Some(Binary::Equals),
            operators::NOT_EQUALS => Some(Binary::Differs),
            operators::LESS => Some(Binary::Less),
            operators::LESS_EQUALS => Some(Binary::LessOrEqual),
            operators::GREATER => Some(Binary::Greater),
            operators::GREATER_EQUALS => Some(Binary::GreaterOrEqual),
            operators::IN => Some(Binary::In),
            operators::ADD => Some(Binary::Add),
            operators::SUBSTRACT => Some(Binary::Subtract),
            operators::MULTIPLY => Some(Binary::Multiply),
            operators::DIVIDE => Some(Binary::Divide),
            operators::MODULO => Some(Binary::Modulo),
            _ => None,
        };
        Ok(Some(match (call.func_name.as_str(), call.args.as_slice()) {
            (_, [left, right]) if binary.is_some() => {
                let operator = binary.unwrap_or(Binary::Equals);
                Node::Binary { operator, left: self.boxed(left)?, right: self.boxed(right)? }
            }
            (operators::LOGICAL_AND, [left, right]) => Node::And(self.boxed(left)?, self.boxed(right)?),
            (operators::LOGICAL_OR, [left, right]) => Node::Or(self.boxed(left)?, self.boxed(right)?),
            (operators::LOGICAL_NOT, [of]) => Node::Not(self.boxed(of)?),
            (operators::NEGATE, [of]) => Node::Negate(self.boxed(of)?),
            (operators::NOT_STRICTLY_FALSE, [of]) => Node::NotStrictlyFalse(self.boxed(of)?),
            (operators::CONDITIONAL, [condition, then, otherwise]) => Node::If {
                condition: self.boxed(condition)?,
                then: self.boxed(then)?,
                otherwise: self.boxed(otherwise)?,
            },
            (index @ (operators::INDEX | operators::OPT_INDEX), [of, at]) => {
                Node::Index { of: self.boxed(of)?, at: self.boxed(at)?, optional: index == operators::OPT_INDEX }
            }
            (operators::OPT_SELECT, [of, field]) => match &field.expr {
                Expr::Literal(LiteralValue::String(field)) => {
                    Node::OptionalSelect { of: self.boxed(of)?, field: field.inner().to_owned() }
                }
                _ => bail!("`.?` without a field"),
            },
            _ => return Ok(None),
        }))
    }
}

fn matches(arguments: Vec<Node>) -> Result<Node> {
    let [text, pattern] = <[Node; 2]>::try_from(arguments).map_err(|_| anyhow!("matches takes a pattern"))?;
    match pattern {
        Node::Literal(Literal::Text(pattern)) => {
            Ok(Node::Matches { text: Box::new(text), pattern: pattern::compile(&pattern)? })
        }
        _ => bail!("matches with a pattern that is computed is not modelled"),
    }
}

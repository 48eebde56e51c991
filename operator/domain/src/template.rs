//! Manifests with `${expression}` in their values, rendered into plain structure.
//!
//! A template is a YAML or JSON structure, never a text with holes: what an expression yields becomes a value at its
//! place and nothing else. However odd a parameter is, it cannot add a field, close a quote or start a new document.
//!
//! - A string that is exactly `${...}` becomes what the expression yields, with its type: a number stays a number, a map
//!   becomes a map, an amount its canonical text.
//! - `${...}` inside a longer string is written into it; only texts, whole numbers, amounts and true or false have a
//!   place there.
//! - An expression that is a whole value and yields `null` leaves its map entry or list element out:
//!   `hostname: ${has(parameters.host) ? parameters.host : null}`. A `null` written in the template stays.
//! - `$${` stands for the two characters `${`. Strings that come out of an expression are never looked at again.
//! - Keys are fixed: `${` in a key is an error.

mod scan;

use std::io;

use serde_json::{Map, Value};

use crate::expression::{Bindings, CostLimits, Expression, ExpressionError, Meter, Outcome};
use crate::finding::pointer_to;
use scan::Piece;

/// How large a template and what it renders may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateLimits {
    /// Nesting of the structure.
    pub depth: usize,
    /// Maps, lists and scalars.
    pub nodes: usize,
    /// Expressions.
    pub expressions: usize,
    /// Size of what is rendered, in bytes of JSON.
    pub rendered_bytes: usize,
    /// Bounds of each expression; its steps are shared by all expressions of one rendering.
    pub cost: CostLimits,
}

impl Default for TemplateLimits {
    /// Below what etcd stores in one object (1.5 MiB), with room for what the API server adds.
    fn default() -> Self {
        Self { depth: 32, nodes: 4000, expressions: 500, rendered_bytes: 512 * 1024, cost: CostLimits::default() }
    }
}

/// A fault in a template, or in rendering it, at one place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template {}: {cause}", if pointer.is_empty() { "/" } else { pointer })]
pub struct TemplateError {
    /// Where in the template, as a JSON pointer.
    pub pointer: String,
    /// What is wrong there.
    #[source]
    pub cause: TemplateCause,
}

/// What is wrong with a place in a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateCause {
    /// The expression cannot be used or has no fitting result.
    #[error("in ${{{source_text}}}: {error}")]
    Expression {
        /// The expression as written.
        source_text: String,
        /// What is wrong with it.
        error: ExpressionError,
    },
    /// `${` without its `}`.
    #[error("\"${{\" without its \"}}\": close the expression, or write \"$${{\" for the two characters themselves")]
    Unclosed,
    /// An expression in a key.
    #[error("the key \"{0}\" contains \"${{\": keys are fixed, put the expression into the value")]
    InKey(String),
    /// More structure than allowed.
    #[error("more than {max} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The most that is allowed.
        max: usize,
    },
    /// The whole template yields nothing.
    #[error("the whole template yields null, which leaves nothing to deliver")]
    Nothing,
}

/// A compiled template.
#[derive(Debug)]
pub struct Template {
    root: Node,
    limits: TemplateLimits,
}

#[derive(Debug)]
enum Node {
    Fixed(Value),
    /// A string that is one expression.
    Whole(Hole),
    /// A string with expressions in it.
    Mixed(Vec<Part>),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

#[derive(Debug)]
enum Part {
    Text(String),
    Hole(Hole),
}

#[derive(Debug)]
struct Hole {
    pointer: String,
    expression: Expression,
}

impl Template {
    /// Compiles a template whose expressions may use the given variables, and no others.
    pub fn compile(template: &Value, variables: &[&str], limits: &TemplateLimits) -> Result<Self, TemplateError> {
        let mut compiler = Compiler { variables, limits, nodes: 0, expressions: 0 };
        Ok(Self { root: compiler.node(template, "", 0)?, limits: *limits })
    }

    /// Every expression with the JSON pointer of the string that it stands in.
    pub fn expressions(&self) -> Vec<(&str, &Expression)> {
        let mut found = Vec::new();
        collect(&self.root, &mut found);
        found
    }

    /// Renders the template. The same bindings always give the same structure.
    pub fn render(&self, bindings: &Bindings) -> Result<Value, TemplateError> {
        let meter = Meter::new(self.limits.cost.steps);
        let mut renderer = Renderer { bindings, meter: &meter, bytes: 0, max_bytes: self.limits.rendered_bytes };
        renderer.node(&self.root, "")?.ok_or(TemplateError { pointer: String::new(), cause: TemplateCause::Nothing })
    }
}

fn collect<'a>(node: &'a Node, found: &mut Vec<(&'a str, &'a Expression)>) {
    let mut add = |hole: &'a Hole| found.push((hole.pointer.as_str(), &hole.expression));
    match node {
        Node::Fixed(_) => {}
        Node::Whole(hole) => add(hole),
        Node::Mixed(parts) => parts.iter().for_each(|part| {
            if let Part::Hole(hole) = part {
                add(hole);
            }
        }),
        Node::List(elements) => elements.iter().for_each(|element| collect(element, found)),
        Node::Map(entries) => entries.iter().for_each(|(_, entry)| collect(entry, found)),
    }
}

struct Compiler<'a> {
    variables: &'a [&'a str],
    limits: &'a TemplateLimits,
    nodes: usize,
    expressions: usize,
}

impl Compiler<'_> {
    fn node(&mut self, value: &Value, pointer: &str, depth: usize) -> Result<Node, TemplateError> {
        self.nodes = self.nodes.saturating_add(1);
        bound(pointer, self.nodes, self.limits.nodes, "values")?;
        bound(pointer, depth, self.limits.depth, "levels of nesting")?;
        let deeper = depth.saturating_add(1);
        match value {
            Value::String(text) => self.text(text, pointer),
            Value::Array(elements) => elements
                .iter()
                .enumerate()
                .map(|(index, element)| self.node(element, &pointer_to(pointer, &index.to_string()), deeper))
                .collect::<Result<_, _>>()
                .map(Node::List),
            Value::Object(entries) => entries
                .iter()
                .map(|(key, entry)| {
                    let below = pointer_to(pointer, key);
                    if key.contains("${") {
                        return Err(fault(&below, TemplateCause::InKey(key.clone())));
                    }
                    Ok((key.clone(), self.node(entry, &below, deeper)?))
                })
                .collect::<Result<_, _>>()
                .map(Node::Map),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Node::Fixed(value.clone())),
        }
    }

    fn text(&mut self, text: &str, pointer: &str) -> Result<Node, TemplateError> {
        let pieces = scan::split(text).ok_or_else(|| fault(pointer, TemplateCause::Unclosed))?;
        match pieces.as_slice() {
            [] => return Ok(Node::Fixed(Value::String(String::new()))),
            [Piece::Text(text)] => return Ok(Node::Fixed(Value::String(text.clone()))),
            [Piece::Code(source)] => return self.hole(source, pointer).map(Node::Whole),
            _ => {}
        }
        pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => Ok(Part::Text(text)),
                Piece::Code(source) => self.hole(source, pointer).map(Part::Hole),
            })
            .collect::<Result<_, _>>()
            .map(Node::Mixed)
    }

    fn hole(&mut self, source: &str, pointer: &str) -> Result<Hole, TemplateError> {
        self.expressions = self.expressions.saturating_add(1);
        bound(pointer, self.expressions, self.limits.expressions, "expressions")?;
        match Expression::compile(source, self.variables, &self.limits.cost) {
            Ok(expression) => Ok(Hole { pointer: pointer.to_owned(), expression }),
            Err(error) => Err(fault(pointer, TemplateCause::Expression { source_text: source.to_owned(), error })),
        }
    }
}

/// What JSON puts around and between entries, in bytes.
const BRACKETS: usize = 2;
const COLON: usize = 1;
const COMMA: usize = 1;

struct Renderer<'a> {
    bindings: &'a Bindings,
    meter: &'a Meter,
    bytes: usize,
    max_bytes: usize,
}

impl Renderer<'_> {
    /// What a node becomes; `None` leaves it out.
    fn node(&mut self, node: &Node, pointer: &str) -> Result<Option<Value>, TemplateError> {
        Ok(Some(match node {
            Node::Fixed(value) => {
                self.take(pointer, value)?;
                value.clone()
            }
            Node::Whole(hole) => match self.evaluate(hole)? {
                Outcome::Null => return Ok(None),
                outcome => {
                    let value = outcome.into_json().map_err(|error| hole.fault(error))?;
                    self.take(pointer, &value)?;
                    value
                }
            },
            Node::Mixed(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(fixed) => text.push_str(fixed),
                        Part::Hole(hole) => {
                            let piece = self.evaluate(hole)?.into_text().map_err(|error| hole.fault(error))?;
                            text.push_str(&piece);
                        }
                    }
                }
                let value = Value::String(text);
                self.take(pointer, &value)?;
                value
            }
            Node::List(elements) => {
                let mut list = Vec::with_capacity(elements.len());
                self.take_bytes(pointer, BRACKETS)?;
                for (index, element) in elements.iter().enumerate() {
                    self.take_bytes(pointer, COMMA)?;
                    list.extend(self.node(element, &pointer_to(pointer, &index.to_string()))?);
                }
                Value::Array(list)
            }
            Node::Map(entries) => {
                let mut map = Map::new();
                self.take_bytes(pointer, BRACKETS)?;
                for (key, entry) in entries {
                    let below = pointer_to(pointer, key);
                    // With what is left out counted, too: a bound need not be reached to the last byte.
                    self.take(&below, &Value::String(key.clone()))?;
                    self.take_bytes(&below, COLON + COMMA)?;
                    if let Some(value) = self.node(entry, &below)? {
                        map.insert(key.clone(), value);
                    }
                }
                Value::Object(map)
            }
        }))
    }

    fn evaluate(&self, hole: &Hole) -> Result<Outcome, TemplateError> {
        hole.expression.evaluate_on(self.bindings, self.meter).map_err(|error| hole.fault(error))
    }

    /// Counts a value into the size of what is rendered.
    fn take(&mut self, pointer: &str, value: &Value) -> Result<(), TemplateError> {
        let mut length = Length { bytes: self.bytes, max: self.max_bytes };
        // Writing fails where the bound is passed, and nowhere else.
        serde_json::to_writer(&mut length, value).ok();
        self.bytes = length.bytes;
        bound(pointer, self.bytes, self.max_bytes, "bytes rendered")
    }

    fn take_bytes(&mut self, pointer: &str, bytes: usize) -> Result<(), TemplateError> {
        self.bytes = self.bytes.saturating_add(bytes);
        bound(pointer, self.bytes, self.max_bytes, "bytes rendered")
    }
}

/// Counts what is written, up to a bound: quotes, escapes and brackets are stored and sent like everything else.
struct Length {
    bytes: usize,
    max: usize,
}

impl io::Write for Length {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        self.bytes = self.bytes.saturating_add(written.len());
        if self.bytes > self.max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(written.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Hole {
    fn fault(&self, error: ExpressionError) -> TemplateError {
        let source_text = self.expression.source().to_owned();
        fault(&self.pointer, TemplateCause::Expression { source_text, error })
    }
}

fn bound(pointer: &str, actual: usize, max: usize, what: &'static str) -> Result<(), TemplateError> {
    if actual > max { Err(fault(pointer, TemplateCause::TooLarge { what, max })) } else { Ok(()) }
}

fn fault(pointer: &str, cause: TemplateCause) -> TemplateError {
    TemplateError { pointer: pointer.to_owned(), cause }
}

//! The meter: how an evaluation pays for its work, and the rewriting that makes it pay.
//!
//! The rewriting puts calls into the tree that cannot be written in CEL (their names start with `@`):
//!
//! - `@each(@meter, list, weight)` around what a loop runs over. It pays for all rounds and for the elements that the
//!   rounds copy, and turns a map into the sorted list of its keys.
//! - `@use(@meter, value)` around operands of calls and elements of literals. It pays for the size of the value, because
//!   copying, comparing, joining or searching it takes time in proportion.
//! - `@times(a, b)` in place of `a * b`, so that an int can stand on the left of a quantity.
//!
//! Operators that only look at a value (`? :`, `&&`, `||`, `!`, indexing, selecting a field) pay nothing extra.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::{CelBytes, CelList, CelMap, CelString, Type};
use cel::common::value::{StaticVal, Val};

/// The variable that holds the meter, and the functions that are paid with it.
pub(super) const METER: &str = "@meter";
pub(super) const EACH: &str = "@each";
pub(super) const USE: &str = "@use";
pub(super) const TIMES: &str = "@times";

/// Text this long, in bytes, weighs as much as one node.
const BYTES_PER_STEP: u64 = 16;

/// The syntax tree, rewritten to pay, with the weight of evaluating every node once.
#[derive(Debug)]
pub(super) struct Metered {
    pub(super) tree: IdedExpr,
    pub(super) weight: u64,
}

/// Counts the steps of one or more evaluations.
#[derive(Debug)]
pub(crate) struct Meter {
    spent: AtomicU64,
    limit: u64,
}

impl Meter {
    pub(crate) const fn new(limit: u64) -> Self {
        Self { spent: AtomicU64::new(0), limit }
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether more was done than allowed.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed) > self.limit
    }

    /// Takes steps off the limit; whether they were still covered.
    pub(super) fn pay(&self, steps: u64) -> bool {
        // Relaxed and not atomic as a whole: an evaluation runs on one thread.
        let spent = self.spent.load(Ordering::Relaxed).saturating_add(steps);
        self.spent.store(spent, Ordering::Relaxed);
        spent <= self.limit
    }

    /// Pays for the size of a value, looking at no more of it than the limit covers.
    pub(super) fn pay_for(&self, value: &dyn Val) -> bool {
        let room = self.limit.saturating_sub(self.spent.load(Ordering::Relaxed));
        self.pay(weigh(value, room))
    }
}

/// The steps of touching every part of a value; stops counting beyond `room`.
fn weigh(value: &dyn Val, room: u64) -> u64 {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return weigh_bytes(text.inner().len());
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        return weigh_bytes(bytes.inner().len());
    }
    let mut weight: u64 = 1;
    let mut add = |part: &dyn Val| {
        weight = weight.saturating_add(weigh(part, room.saturating_sub(weight)));
        weight <= room
    };
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        list.inner().iter().all(|element| add(element.as_ref()));
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        map.inner().iter().all(|(key, element)| add(key.inner()) && add(element.as_ref()));
    }
    weight
}

fn weigh_bytes(bytes: usize) -> u64 {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    bytes.checked_div(BYTES_PER_STEP).unwrap_or(bytes).saturating_add(1)
}

/// The meter travels through the evaluation as a value of its own.
impl Val for Meter {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        static METER_TYPE: Type = Type::new_unspecified_type("zhengyun.meter");
        &METER_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        // Never asked for: no rewritten call copies the meter. A copy starts spent, so it could not be used to cheat.
        Box::new(Self { spent: AtomicU64::new(u64::MAX), limit: 0 })
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Meter {}

/// Rewrites a tree so that its evaluation pays for its work.
pub(super) fn instrument(tree: IdedExpr) -> Metered {
    let weight = weight_of(&tree);
    Metered { tree: rewrite(tree), weight }
}

/// The steps of evaluating every node of a tree once. The tree's nesting is bounded by then.
fn weight_of(node: &IdedExpr) -> u64 {
    let parts: u64 = match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => weigh_bytes(text.inner().len()),
        Expr::Literal(LiteralValue::Bytes(bytes)) => weigh_bytes(bytes.inner().len()),
        Expr::Literal(_) | Expr::Ident(_) | Expr::Unspecified | Expr::Struct(_) => 0,
        Expr::Select(select) => weight_of(&select.operand),
        Expr::Call(call) => sum(call.target.as_deref().into_iter().chain(&call.args).map(weight_of)),
        Expr::List(list) => sum(list.elements.iter().map(weight_of)),
        Expr::Map(map) => sum(map.entries.iter().map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => weight_of(&entry.key).saturating_add(weight_of(&entry.value)),
            EntryExpr::StructField(field) => weight_of(&field.value),
        })),
        Expr::Comprehension(loops) => {
            sum([&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result]
                .into_iter()
                .map(weight_of))
        }
    };
    parts.saturating_add(1)
}

fn sum(weights: impl Iterator<Item = u64>) -> u64 {
    weights.fold(0, u64::saturating_add)
}

fn rewrite(node: IdedExpr) -> IdedExpr {
    let IdedExpr { id, expr } = node;
    let expr = match expr {
        Expr::Select(mut select) => {
            select.operand = Box::new(rewrite(*select.operand));
            Expr::Select(select)
        }
        Expr::Call(call) => Expr::Call(rewrite_call(call)),
        Expr::List(mut list) => {
            list.elements = list.elements.into_iter().map(paid).collect();
            Expr::List(list)
        }
        Expr::Map(mut map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    entry.key = paid(std::mem::take(&mut entry.key));
                    entry.value = paid(std::mem::take(&mut entry.value));
                }
            }
            Expr::Map(map)
        }
        Expr::Comprehension(loops) => Expr::Comprehension(Box::new(rewrite_loop(*loops))),
        other @ (Expr::Literal(_) | Expr::Ident(_) | Expr::Unspecified | Expr::Struct(_)) => other,
    };
    IdedExpr { id, expr }
}

fn rewrite_call(mut call: CallExpr) -> CallExpr {
    let looks_only = LOOKS_ONLY.contains(&call.func_name.as_str());
    let is_index = call.func_name == operators::INDEX;
    call.target = call.target.map(|target| Box::new(paid(*target)));
    call.args = (call.args.into_iter().enumerate())
        // Indexing only looks at what it indexes, but hashes the key.
        .map(|(position, part)| if looks_only || (is_index && position == 0) { rewrite(part) } else { paid(part) })
        .collect();
    if call.func_name == operators::MULTIPLY {
        TIMES.clone_into(&mut call.func_name);
    }
    call
}

fn rewrite_loop(mut loops: ComprehensionExpr) -> ComprehensionExpr {
    let round = [&loops.loop_cond, &loops.loop_step].into_iter().map(weight_of);
    let weight = i64::try_from(sum(round)).unwrap_or(i64::MAX);
    let weight = IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Int(weight.into())) };
    loops.iter_range = call(EACH, vec![meter(), rewrite(loops.iter_range), weight]);
    // The shape of the macros' steps is kept: the engine appends in place only to `@result + [...]`.
    loops.loop_step = rewrite(loops.loop_step);
    loops
}

/// A part whose value pays for its size, unless its own parts paid already or it has no size.
fn paid(part: IdedExpr) -> IdedExpr {
    match &part.expr {
        Expr::Literal(_) | Expr::List(_) | Expr::Map(_) => rewrite(part),
        Expr::Ident(name) if name.starts_with('@') => part,
        _ => call(USE, vec![meter(), rewrite(part)]),
    }
}

fn meter() -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Ident(METER.to_owned()) }
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }) }
}

/// Operators that neither copy nor walk their operands.
const LOOKS_ONLY: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
];

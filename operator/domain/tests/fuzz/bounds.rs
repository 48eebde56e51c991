//! One expression at work under observation: on a small stack, with its memory and time measured from outside.
//!
//! The meter counts steps by its own rules; what is allocated is counted by the allocator, and the time by the processor, who
//! know nothing of them.

use std::thread;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use zhengyun_domain::expression::{Bindings, CostLimits, Expression, ExpressionError};

/// Half the stack of a tokio worker, in a debug build.
const STACK: usize = 1 << 20;
/// Bytes that may be held at once per step allowed: twice what the worst of 100,000 bombs was seen to hold.
const HELD_PER_STEP: u64 = 160;
/// Allocations per step allowed: twice what was seen, too.
const ALLOCATIONS_PER_STEP: u64 = 6;
/// Bytes that the parser may hold per byte of source, which it does for sources that it refuses in the end.
const HELD_PER_BYTE: u64 = 3_000;
/// What an evaluation may allocate beside its steps: the context, the message of an error.
const BESIDE: u64 = 1 << 20;
/// Processor time per step allowed, however busy the machine is: eight times what was seen in an unoptimised build.
const TIME_PER_STEP: Duration = Duration::from_micros(2);
/// What an evaluation may take beside its steps.
const TIME_BESIDE: Duration = Duration::from_millis(200);

/// What came of an expression, printed: the value, or why there is none.
pub(crate) type Told = Result<String, ExpressionError>;

/// Compiles and evaluates an expression over `parameters` and `count`, twice and on data built anew.
///
/// # Errors
/// What it did that it must not do.
pub(crate) fn observe(source: &str, parameters: &Value, limits: &CostLimits) -> Result<Told, String> {
    let first = apart(|| observed(source, parameters, limits))??;
    let second = apart(|| observed(source, parameters, limits))??;
    if first != second {
        return Err(format!("first {first:?}, then {second:?}"));
    }
    if first == Err(ExpressionError::Crashed) {
        return Err("the engine panicked".to_owned());
    }
    Ok(first)
}

/// Runs on a thread of its own with a small stack. An overflow ends the whole program, which is noticed, too.
fn apart<T: Send>(run: impl FnOnce() -> T + Send) -> Result<T, String> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run).unwrap();
        thread.join().map_err(|panic| format!("a panic came out: {panic:?}"))
    })
}

fn observed(source: &str, parameters: &Value, limits: &CostLimits) -> Result<Told, String> {
    let mut told = None;
    let compiling = measure(|| told = Some(Expression::compile(source, &["parameters", "count"], limits)));
    within("compiling", compiling, u64::try_from(limits.source_bytes).unwrap() * HELD_PER_BYTE, limits)?;
    let expression = match told.unwrap() {
        Ok(expression) => expression,
        Err(error) => return Ok(Err(error)),
    };
    let bindings = Bindings::new()
        .with("parameters", parameters)
        .and_then(|bindings| bindings.with("count", &Value::from(3)))
        .map_err(|error| format!("the data itself: {error}"))?;
    let mut told = None;
    let started = processor_time();
    let evaluating = measure(|| told = Some(expression.evaluate(&bindings)));
    let taken = processor_time().saturating_sub(started);
    within("evaluating", evaluating, limits.steps * HELD_PER_STEP, limits)?;
    if taken > TIME_PER_STEP * u32::try_from(limits.steps).unwrap() + TIME_BESIDE {
        return Err(format!("evaluating took {taken:?}"));
    }
    Ok(told.unwrap().map(|outcome| format!("{outcome:?}")))
}

/// Of this thread.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

fn within(doing: &str, used: AllocationInfo, held: u64, limits: &CostLimits) -> Result<(), String> {
    let most = limits.steps.max(100_000) * ALLOCATIONS_PER_STEP;
    if used.bytes_max > held + BESIDE || used.count_total > most {
        return Err(format!("{doing} held {} bytes in {} allocations", used.bytes_max, used.count_total));
    }
    Ok(())
}

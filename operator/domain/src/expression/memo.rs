//! Compiled expressions, kept: the same few texts of policies and items are asked for with every request.
//!
//! What is kept depends on nothing but the key, so a decision is the same with and without it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::{Compiled, CostLimits, ExpressionError};

/// Expressions kept at a time, some kilobytes each. A catalogue and its policies have some hundred.
const KEPT: usize = 1024;

type Key = (String, Vec<String>, CostLimits);

static MEMO: LazyLock<Mutex<HashMap<Key, Arc<Compiled>>>> = LazyLock::new(Mutex::default);

/// The compiled expression of a key, made if it is not kept. What cannot be compiled is not kept.
pub(super) fn compiled(
    source: &str,
    variables: &[&str],
    limits: &CostLimits,
    compile: impl FnOnce() -> Result<Compiled, ExpressionError>,
) -> Result<Arc<Compiled>, ExpressionError> {
    let key = (source.to_owned(), variables.iter().map(|v| (*v).to_owned()).collect(), *limits);
    let memo = || MEMO.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = memo().get(&key) {
        return Ok(Arc::clone(found));
    }
    let made = Arc::new(compile()?);
    let mut memo = memo();
    if memo.len() >= KEPT {
        // Texts of former revisions go with the rest; those in use are back at their next use.
        memo.clear();
    }
    memo.insert(key, Arc::clone(&made));
    Ok(made)
}

//! Where a table of transitions can lead, for the tests of every kind of run.

use std::collections::BTreeSet;

/// Every phase that can be reached from one, itself included, without an event that is left out.
pub(super) fn reachable<P: Copy + Ord, E: Copy + PartialEq>(
    from: P,
    events: &[E],
    without: Option<E>,
    step: impl Fn(P, E) -> Option<P>,
) -> BTreeSet<P> {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(phase) = open.pop() {
        for event in events.iter().copied().filter(|event| Some(*event) != without) {
            if let Some(next) = step(phase, event)
                && seen.insert(next)
            {
                open.push(next);
            }
        }
    }
    seen
}

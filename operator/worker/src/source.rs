//! Where entries come from.

pub mod args;
pub mod batcher;
pub mod database;
pub mod files;
pub mod namespace;

use crate::engine::Entry;
use crate::evidence::items::SourceRecord;

/// The directory of a snapshot in which sources lie, each below its name.
pub const DATA_DIR: &str = "data";

/// A source that is being captured. Its entries come in the order of the tree.
pub trait Source: Send {
    /// The next entry; none at the end, and none after a failure, which the control of the run then holds.
    fn next(&mut self) -> Option<Entry>;

    /// Whether a batch may end here so that a run that was killed later goes on after it.
    fn at_boundary(&self) -> bool;

    /// Whether size, times and inode tell that an entry is unchanged, so that it need not be read.
    fn has_change_times(&self) -> bool;

    /// What the manifest says of it, once all entries were taken.
    fn record(&self) -> SourceRecord;
}

//! The movers: a database while it is written, beside a dump and its restore, and a tree of files beside rsync.
//!
//! Every acknowledged commit is looked for at the target, and every file is compared with what was there: a fast move that loses
//! something is none.

mod database;
mod files;
mod load;
mod worker;

use anyhow::Result;

use crate::outcome::Outcome;
use crate::run::{Run, scaled};
use crate::tree::FILES;

/// Bytes of the database.
const BYTES: usize = 1_000_000_000;
/// Below this there is nothing to see.
const LEAST_BYTES: usize = 20_000_000;

/// Runs all of it.
///
/// # Errors
/// When something did not come up, failed, or was lost or changed on the way.
pub(crate) async fn run(run: &Run<'_>) -> Result<Outcome> {
    let (bytes, files) = (scaled(BYTES, run.scale, LEAST_BYTES), scaled(FILES, run.scale, 100));
    let title = format!(
        "a database of {} MB at {} commits a second, and {files} files",
        bytes / 1_000_000,
        load::COMMITS_A_SECOND
    );
    let mut outcome = Outcome::new("migration", title, run.scale);
    database::measure(&mut outcome, run, bytes).await?;
    files::measure(&mut outcome, run, files)?;
    Ok(outcome)
}

//! The watch over the source's disk: a slot that nobody reads keeps its log from being removed.

use super::fence::Pair;
use super::stream::{Slot, Stream};
use crate::control::Control;
use crate::database::Server;
use crate::error::{Result, WorkerError};

/// Bytes of its log that the source may keep: the least of what the server and somebody said.
pub(super) fn budget(source: &Server, mib: Option<u64>) -> Result<u64> {
    let told = [bound(source)?, mib].into_iter().flatten().min();
    told.map(|mib| mib << 20).ok_or_else(|| {
        WorkerError::input(
            "--wal-budget-mib",
            format!(
                "{} has no max_slot_wal_keep_size, and a copy that falls behind would fill its disk",
                source.login.shown()
            ),
            "give the MiB of log that it may keep, or set max_slot_wal_keep_size there",
        )
    })
}

/// MiB of its log that the server itself lets a slot keep; none if it sets no bound.
fn bound(source: &Server) -> Result<Option<u64>> {
    let server =
        source.one("SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size' AND setting::bigint >= 0")?;
    Ok(server.parse().ok())
}

/// Gives the slot up where nothing follows the source from now on and the server lets it keep more than it may: nobody watches then.
pub(super) fn release(pair: &Pair, stream: &Stream, mib: Option<u64>, control: &Control) -> Result<Option<String>> {
    let source = &pair.source.server;
    let holds = bound(source)?.is_some_and(|bound| mib.is_none_or(|mib| bound <= mib));
    if holds || stream.slot(source)?.is_none() {
        return Ok(None);
    }
    if stream.subscription(&pair.target.server)?.is_some_and(|(_, enabled)| enabled) {
        stream.enable(&pair.target.server, false)?;
    }
    stream.drop_slot(source, control)?;
    Ok(Some(format!(
        "slot {} of the source, for its server does not bound what it keeps: `copy` begins anew",
        stream.name
    )))
}

/// Ends the stream at half the budget: the source's disk comes first.
pub(super) fn within(pair: &Pair, stream: &Stream, slot: &Slot, budget: u64, control: &Control) -> Result<()> {
    if slot.kept < budget / 2 {
        return Ok(());
    }
    stream.enable(&pair.target.server, false)?;
    stream.drop_slot(&pair.source.server, control)?;
    Err(WorkerError::moving(
        "SlotOverBudget",
        pair.source.shown(),
        format!(
            "it kept {} bytes of its log for the copy, and may keep {budget}: the slot {} was dropped at half of that",
            slot.kept, stream.name
        ),
        "find out why the target is slow, raise --wal-budget-mib, and run `copy` again: it begins anew",
    ))
}

//! A region with many live grants: what restart, reading and idleness are measured on.

use std::time::Duration;

use anyhow::{Result, ensure};
use zhengyun_tests::lab::wait;

use crate::books;
use crate::follow::Board;
use crate::orders::{Granted, Wave};
use crate::region::Region;
use crate::run::Run;
use crate::stage::Stage;

/// Requests that wait for their answer at a time.
const IN_FLIGHT: usize = 96;
/// Longest wait until everything is delivered.
const PATIENCE: Duration = Duration::from_hours(2);

/// Grants one core each to every department in turn, at every site in turn.
///
/// # Errors
/// The first request that is refused.
pub async fn grant(stage: &Stage, region: &Region, sites: &[&str], many: usize, run: &Run<'_>) -> Result<Granted> {
    grant_as(stage, region, "standing", sites, many, run).await
}

/// [`grant`] under other names.
///
/// # Errors
/// The first request that is refused.
pub async fn grant_as(
    stage: &Stage,
    region: &Region,
    prefix: &str,
    sites: &[&str],
    many: usize,
    run: &Run<'_>,
) -> Result<Granted> {
    let board = Board::of_requests(&stage.admin()?);
    let wave = Wave { prefix, leaves: &region.leaves, sites, many, in_flight: IN_FLIGHT };
    let granted = wave.grant(&stage.clerk()?, &board).await?;
    run.say(&format!("{many} grants after {:.0} s, {:.0} a second", granted.wall.as_secs_f64(), granted.rate()));
    Ok(granted)
}

/// Waits until so many grants are in service.
///
/// # Errors
/// When they are not in time.
pub async fn served(stage: &Stage, many: usize, run: &Run<'_>) -> Result<()> {
    let board = Board::of_grants(&stage.admin()?);
    let mut said = std::time::Instant::now();
    let what = format!("{many} grants in service");
    wait::until_every(&what, PATIENCE, Duration::from_millis(500), || {
        let served = board.phases().get("InService").copied().unwrap_or_default();
        if said.elapsed() > Duration::from_secs(20) {
            said = std::time::Instant::now();
            run.say(&format!("  {served} of {many} grants are in service"));
        }
        async move {
            ensure!(served >= many, "{served} are");
            Ok(Some(()))
        }
    })
    .await
}

/// Ledgers, grants and the independent audit say the same, to the unit.
///
/// # Errors
/// What differs.
pub async fn exact(stage: &Stage, site: &str, cores: usize) -> Result<()> {
    let admin = stage.admin()?;
    wait::until("the ledger shows exactly what was granted", Duration::from_mins(2), || async {
        let totals = books::totals(&admin, site).await?;
        ensure!(totals == (0, cores as u64), "{site}: reserved and granted are {totals:?}, {cores} were granted");
        Ok(Some(()))
    })
    .await?;
    let held = books::holdings(&admin, site).await?;
    ensure!(held.grants == cores && held.cores == cores as u64, "{site}: {cores} grants of one core, but {held:?}");
    books::balanced(stage.lab()).await
}

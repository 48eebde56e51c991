//! Twenty clients ask for more than there is, at once: exactly the quota is granted, and nobody hears another error than "exceeded".

use std::sync::Arc;

use anyhow::Result;
use zhengyun_tests::race;
use zhengyun_tests::town::Town;

const EACH: usize = 500;

pub(crate) async fn twenty_clients_and_one_quota(town: &Arc<Town>) -> Result<()> {
    let outcome = race::run(town, EACH).await?;
    // A build for tests is several times slower than a released one; only the sums matter here.
    eprintln!(
        "{} decisions in {:.0} s: {} granted",
        race::CLIENTS * EACH,
        outcome.decided.as_secs_f64(),
        outcome.granted
    );
    outcome.is_exact(town).await
}

//! What follows for the ledger of each site.

use std::collections::BTreeMap;

use super::{Bearer, ChargeError, Place, Shares, amounts};
use crate::ledger::Charge;

/// Charges by site and UID of the plan.
type Charges = BTreeMap<String, BTreeMap<String, Charge>>;

/// What each plan is to be charged at each site of a store.
///
/// # Errors
/// When a sum is beyond what an amount can be.
pub fn wanted(shares: &Shares, places: &BTreeMap<String, Place>) -> Result<Charges, ChargeError> {
    let mut all = Charges::new();
    for (store, place) in places {
        let at = all.entry(place.site.clone()).or_default();
        for (uid, share) in shares.get(store).into_iter().flatten() {
            let charge = at.entry(uid.clone()).or_default();
            charge.granted = charge.granted.checked_add(&amounts(share.stands)?)?;
            charge.reserved = charge.reserved.checked_add(&amounts(share.holds.saturating_sub(share.stands))?)?;
        }
    }
    Ok(all)
}

/// The charges at a site that are to be decided anew, all in one commit.
///
/// While a run of any plan may be writing there, none falls: a process was told how much there is room for. Only what such a run needs
/// rises. Otherwise every plan is charged what stands, and what passes from one plan to another does so at once.
///
/// # Errors
/// When a sum is beyond what an amount can be.
pub fn changes(
    bearers: &[Bearer],
    places: &BTreeMap<String, Place>,
    site: &str,
    wanted: &BTreeMap<String, Charge>,
    booked: &BTreeMap<String, Charge>,
) -> Result<Vec<(String, Charge)>, ChargeError> {
    let here = |store: &String| places.get(store).is_some_and(|place| place.site == site);
    let writes = |bearer: &&Bearer| bearer.writes.iter().any(here);
    let is_written = bearers.iter().any(|bearer| writes(&bearer));
    let mut all = Vec::new();
    for bearer in bearers {
        let (next, now) = (of(wanted, &bearer.uid), of(booked, &bearer.uid));
        let differs = if is_written { writes(&bearer) && grows(&now, &next)? } else { next != now };
        if differs {
            all.push((bearer.uid.clone(), next));
        }
    }
    Ok(all)
}

fn of(charges: &BTreeMap<String, Charge>, uid: &str) -> Charge {
    charges.get(uid).cloned().unwrap_or_default()
}

fn grows(now: &Charge, next: &Charge) -> Result<bool, ChargeError> {
    let delta = next.total()?.checked_sub(&now.total()?)?;
    Ok(delta.iter().any(|(_, quantity)| !quantity.is_negative() && !quantity.is_zero()))
}

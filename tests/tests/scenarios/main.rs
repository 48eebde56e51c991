//! What users and administrators do to the product on real control planes, and what must come of it: bad input refused with
//! nothing charged, sites that are not what they say, what stands at a site protected and repaired, quotas raced for, and
//! credentials renewed under it all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by failing"
)]

mod approvals;
mod catalogue;
mod limits;
mod names;
mod orders;
mod race;
mod residue;
mod rotation;
mod sites;
mod standing;
mod tree;
mod world;

use std::sync::Arc;
use std::time::Instant;

use zhengyun_tests::lab::{LabOptions, client, credentials};
use zhengyun_tests::town::Town;

/// One lab for all scenes, in this order: the later ones leave charges behind. Tokens of the shortest lifetime are renewed, and
/// their predecessors made invalid, all the while.
#[tokio::test(flavor = "multi_thread")]
async fn what_users_do_comes_out_as_it_must() {
    client::install_crypto_provider();
    let mut options = LabOptions::new(&["hohhot", "ulanqab"]).unwrap();
    options.token_lifetime = credentials::SHORTEST_LIFETIME;
    let town = Arc::new(Town::start_with(options, &[]).await.unwrap());
    let rotation = rotation::Rotation::start(&town);
    world::prepare(&town).await.unwrap();
    // For work on one of them: `ZHENGYUN_SCENES=sites::` tells the scenes whose names contain it.
    let only = std::env::var("ZHENGYUN_SCENES").unwrap_or_default();
    let mut wrong = Vec::new();
    macro_rules! scene {
        ($what:path) => {{
            if stringify!($what).contains(&only) {
                let begun = Instant::now();
                let ended = $what(&town).await;
                eprintln!("{}: {:.1} s", stringify!($what), begun.elapsed().as_secs_f64());
                // The next scenes are told all the same: one run shows everything that came out wrong.
                if let Err(error) = ended {
                    wrong.push(format!("{}: {error:#}", stringify!($what)));
                }
            }
        }};
    }
    scene!(tree::bad_places_and_quotas_are_refused);
    scene!(catalogue::bad_items_are_refused);
    scene!(orders::bad_orders_are_refused);
    scene!(approvals::unfit_approvals_do_not_count);
    scene!(approvals::nothing_is_decided_without_policies);
    scene!(sites::bad_credentials_are_refused);
    scene!(world::nothing_is_charged_or_left);
    scene!(names::a_name_used_again_is_another_thing);
    scene!(standing::what_was_delivered_is_kept_as_granted);
    scene!(standing::what_is_not_ours_is_left_alone);
    scene!(residue::a_retained_volume_keeps_the_charge);
    scene!(limits::a_cut_takes_nothing_away);
    scene!(limits::a_vanished_charge_is_kept);
    scene!(race::twenty_clients_and_one_quota);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    rotation.end(&town).await.unwrap();
    world::audited(&town).await.unwrap();
}

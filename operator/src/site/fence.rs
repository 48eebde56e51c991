//! The fence of a site: the epoch of the only operator that may write there.
//!
//! ConfigMap `zhengyun-fence` holds the hub's UID, an epoch that only rises, and the run of the operator that raised it. The site's admission policies refuse writes of the
//! driver's account with an older epoch, so an operator that was paused while another took over can do no harm when it wakes up.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use zhengyun_crds::marks;
use zhengyun_domain::seeded::{self, Bug};

use super::SiteError;
use super::call::{Collection, Failure, Write, guard, said, text};
pub use super::facts::{Labelled, allocatable, cluster_uid, sweep, version};
use super::link::SiteLink;

/// Turns of read and guarded write before the writers in between are left to themselves.
const TURNS: u8 = 4;
/// Longest wait until the API server knows the raised fence; it follows within milliseconds.
const IN_FORCE: Duration = Duration::from_secs(5);
/// Pause between two tries whether it does.
const STEP: Duration = Duration::from_millis(50);
/// Name of the namespace that is tried, and never made.
const PROBE: &str = "zy-fence-probe";

/// Who the fence of a site lets write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceState {
    /// This hub with this epoch; older operators are kept out.
    Ours {
        /// UID of the fence object.
        uid: String,
    },
    /// This hub with a later epoch, or with this one in another run: the hub was restored to the past, or another operator took
    /// over. A run takes its epoch from the ledger by a guarded write, so no two runs of one history have the same.
    Ahead {
        /// The epoch there.
        epoch: i64,
    },
    /// Another hub.
    ForeignHub {
        /// UID of that hub.
        uid: String,
    },
}

/// Raises the fence of a site to an epoch for a run of the operator, and sees that it keeps an older one out.
pub async fn raise(link: &SiteLink, hub_uid: &str, epoch: i64, run: &str) -> Result<FenceState, SiteError> {
    let fences = Collection::of("", "v1", "ConfigMap", "configmaps", marks::SYSTEM_NAMESPACE);
    for _ in 0..TURNS {
        let found = link.get(&fences, marks::FENCE_NAME).await.map_err(|f| f.unexpected(link, "GET fence"))?;
        let written = match &found {
            None => link.create(&fences, marks::FENCE_NAME, &fence(hub_uid, epoch, run), Write::Real).await,
            Some(live) => match standing(link, live, hub_uid)? {
                Standing::Foreign(uid) => return Ok(FenceState::ForeignHub { uid }),
                Standing::At(at, _) if at < epoch && seeded::is(Bug::FenceNotRaised) => {
                    return Ok(FenceState::Ours { uid: text(live, "/metadata/uid").to_owned() });
                }
                Standing::At(at, _) if at > epoch => return Ok(FenceState::Ahead { epoch: at }),
                Standing::At(at, by) if at == epoch && by != run => return Ok(FenceState::Ahead { epoch: at }),
                Standing::At(at, _) if at == epoch => Ok(live.clone()),
                Standing::At(..) | Standing::Blank => {
                    let patch = json!({ "metadata": guard(live, epoch), "data": data(hub_uid, epoch, run) });
                    link.merge(&fences, marks::FENCE_NAME, &patch).await
                }
            },
        };
        match written {
            Ok(live) => {
                in_force(link, epoch).await?;
                return Ok(FenceState::Ours { uid: text(&live, "/metadata/uid").to_owned() });
            }
            // Made, raised or deleted by somebody else between read and write: what it is now decides.
            Err(Failure::Answer(status)) if matches!(status.code, 404 | 409) => {}
            Err(failure) => return Err(failure.unexpected(link, "raising the fence")),
        }
    }
    Err(SiteError::Changed { site: link.name().to_owned(), what: "raising the fence".to_owned() })
}

fn data(hub_uid: &str, epoch: i64, run: &str) -> Value {
    json!({ "hubUID": hub_uid, "epoch": epoch.to_string(), "run": run })
}

fn fence(hub_uid: &str, epoch: i64, run: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": marks::FENCE_NAME, "namespace": marks::SYSTEM_NAMESPACE,
            "labels": { marks::LABEL_MANAGED_BY: marks::MANAGED_BY },
            "annotations": { marks::ANNOTATION_EPOCH: epoch.to_string() }
        },
        "data": data(hub_uid, epoch, run)
    })
}

/// What a fence object says.
enum Standing {
    /// Nothing yet.
    Blank,
    /// This hub, with an epoch, raised by a run.
    At(i64, String),
    /// Another hub.
    Foreign(String),
}

fn standing(link: &SiteLink, live: &Value, hub_uid: &str) -> Result<Standing, SiteError> {
    match (text(live, "/data/hubUID"), text(live, "/data/epoch")) {
        ("", "") => Ok(Standing::Blank),
        (uid, _) if uid != hub_uid => Ok(Standing::Foreign(uid.to_owned())),
        (_, epoch) => epoch.parse().map(|at| Standing::At(at, text(live, "/data/run").to_owned())).map_err(|_| {
            SiteError::Refused {
                site: link.name().to_owned(),
                what: "GET fence".to_owned(),
                cause: format!(
                    "data.epoch of ConfigMap {}/{} is no number; repair it there by hand",
                    marks::SYSTEM_NAMESPACE,
                    marks::FENCE_NAME
                ),
            }
        }),
    }
}

/// Sees that the site refuses the epoch before: the API server learns of the fence from a watch, a moment late.
async fn in_force(link: &SiteLink, epoch: i64) -> Result<(), SiteError> {
    if link.is_fenced_at(epoch) {
        return Ok(());
    }
    let older = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": PROBE,
            "labels": { marks::LABEL_GRANT_UID: "fence-probe", "pod-security.kubernetes.io/enforce": "restricted" },
            "annotations": { marks::ANNOTATION_EPOCH: epoch.saturating_sub(1).to_string() }
        }
    });
    let deadline = Instant::now() + IN_FORCE;
    loop {
        let cause = match link.create(&Collection::namespaces(), PROBE, &older, Write::Try).await {
            Err(Failure::Site(SiteError::Fenced { .. })) => {
                link.set_fenced_at(epoch);
                return Ok(());
            }
            Err(Failure::Site(error)) => return Err(error),
            Ok(_) => format!("epoch {} was let through", epoch.saturating_sub(1)),
            // Not known yet, or refused for another reason, which says nothing about the fence.
            Err(Failure::Answer(status)) => said(&status),
        };
        if Instant::now() >= deadline {
            return Err(SiteError::NotFenced { site: link.name().to_owned(), cause });
        }
        tokio::time::sleep(STEP).await;
    }
}

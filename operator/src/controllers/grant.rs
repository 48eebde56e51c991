//! Grants: delivered, kept as granted, ended with zero proven.

pub mod charge;
mod deliver;
mod keep;
mod looked;
mod revoke;

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use zhengyun_crds::grant::{ResourceGrant, ResourceGrantStatus};
use zhengyun_crds::{GrantPhase, Reason};
use zhengyun_domain::grant::{self, Task};
use zhengyun_domain::seeded::{self, Bug};

pub use self::looked::Looked;
use self::looked::{LOOK_AGAIN, LOOK_BLINDLY};
use super::Context;
use crate::ledger::LedgerError;
use crate::runtime::backoff::spread;
use crate::runtime::controller::{Outcome, ReconcileError};
use crate::runtime::hub::replace_status;
use crate::runtime::watches::key;
use crate::site::link::{SiteLink, Touched};
use crate::site::{SiteError, Touch};

/// How often a site that did not answer is tried, unless it is known to be away: then its return is waited for.
const TRY_SITE: Duration = Duration::from_secs(15);

/// What changed at sites, as grants to look at.
pub fn touched(
    context: Arc<Context>,
    touched: Touched,
) -> impl Stream<Item = ObjectRef<ResourceGrant>> + Send + 'static {
    touched.flat_map(move |touch| {
        let (refs, ended): (Vec<ObjectRef<ResourceGrant>>, bool) = match touch {
            Touch::Grant { department, grant, ended } => {
                (vec![ObjectRef::new(&grant).within(&format!("dept-{department}"))], ended)
            }
            Touch::SiteBack(site) => {
                let there = |g: &ResourceGrant| g.spec.site == site && phase(g) != GrantPhase::Revoked;
                let there = context.watches.grants.matching(there);
                (there.iter().map(|g| ObjectRef::from_obj(g.as_ref())).collect(), true)
            }
        };
        // What ended, or is not known yet, has no look that could count.
        let lives = |g: &&ObjectRef<ResourceGrant>| {
            context.watches.grants.store.get(g).is_some_and(|g| phase(&g) != GrantPhase::Revoked)
        };
        for grant in refs.iter().filter(lives) {
            context.looked.touch(format!("{}/{}", grant.namespace.as_deref().unwrap_or_default(), grant.name), ended);
        }
        futures::stream::iter(refs)
    })
}

/// Phase of a grant; Pending before it was charged.
pub fn phase(grant: &ResourceGrant) -> GrantPhase {
    grant.status.as_ref().and_then(|s| s.phase).unwrap_or(GrantPhase::Pending)
}

/// Brings a grant one step forward.
///
/// # Errors
/// When the hub does not answer or the grant changed meanwhile. A site that does not answer is a condition, not an error.
pub async fn reconcile(context: Arc<Context>, cached: Arc<ResourceGrant>) -> Outcome {
    let now = context.clock.now();
    let charge = cached.status.as_ref().and_then(|s| s.charge.as_ref());
    super::request::shown(&context, &cached.spec.site, cached.uid(), charge).await;
    let (name, version) = (key(cached.as_ref()), cached.metadata.resource_version.as_deref());
    let task = grant::task(&cached, now);
    match task {
        Task::Rest => return rest(&context, &cached).await,
        Task::AwaitCharge => return Ok(Action::await_change()),
        Task::Deliver if phase(&cached) == GrantPhase::InService => {
            let longest = context.links.get(&cached.spec.site).map_or(LOOK_BLINDLY, |link| regularly(&link));
            if let Some(left) = context.looked.rests(&name, version, longest) {
                return Ok(Action::requeue(spread(left, &cached.name_any(), 1)));
            }
        }
        _ => {}
    }
    let api: Api<ResourceGrant> = context.namespaced(&cached.namespace().unwrap_or_default());
    let Some(link) = context.links.get(&cached.spec.site) else {
        let message =
            format!("site {} is not connected; see `kubectl get site {} -o wide`", cached.spec.site, cached.spec.site);
        return not_reached(&api, &cached, &message, LOOK_BLINDLY, now).await;
    };
    // Every grant of a site would wait for its own answer, and the grants of other sites behind them.
    if link.state().reachable == Some(false) {
        let site = &cached.spec.site;
        let message = format!(
            "site {site} does not answer, see `kubectl get site {site} -o wide`; everything goes on by itself once it answers"
        );
        return not_reached(&api, &cached, &message, LOOK_BLINDLY, now).await;
    }
    if matches!(task, Task::Remove | Task::Prove)
        && let Some(left) = context.looked.ends(&name, version)
    {
        return Ok(Action::requeue(left));
    }
    // Fresh, because intents are written before effects and must not be taken from an older inventory.
    let seen = context.looked.seen(&name);
    let Some(held) = api.get_opt(&cached.name_any()).await? else { return Ok(Action::await_change()) };
    let mut ended = match grant::task(&held, now) {
        Task::Rest | Task::AwaitCharge => Ok(Action::await_change()),
        Task::Deliver => deliver::deliver(&context, &api, &held, &link, seen, now).await,
        Task::Freeze(until) => revoke::freeze(&context, &api, &held, &link, until, now).await,
        Task::Keep => keep::keep(&context, &api, &held, &link, seen, now).await,
        Task::Remove => revoke::remove(&context, &api, &held, &link, seen, now).await,
        Task::Prove => revoke::prove(&context, &api, &held, &link, seen, now).await,
    };
    if seeded::is(Bug::UnreachableIsGone) && held.spec.revocation.is_some() && is_away(&ended) {
        ended = revoke::conclude(&context, &api, &held, vec!["the site is gone".to_owned()], now).await;
    }
    match ended {
        Err(StepError::Site(error)) => site_failed(&context, &api, &held, &error, now).await,
        Err(StepError::Hub(error)) => Err(error),
        Ok(action) => Ok(action),
    }
}

/// Whether a step ended at a site that does not answer.
const fn is_away(ended: &Result<Action, StepError>) -> bool {
    matches!(ended, Err(StepError::Site(SiteError::Unreachable { .. })))
}

/// Why a step did not come to its end.
pub(crate) enum StepError {
    /// The hub, or the object changed.
    Hub(ReconcileError),
    /// The site.
    Site(SiteError),
}

impl From<kube::Error> for StepError {
    fn from(error: kube::Error) -> Self {
        Self::Hub(error.into())
    }
}

impl From<ReconcileError> for StepError {
    fn from(error: ReconcileError) -> Self {
        Self::Hub(error)
    }
}

impl From<LedgerError> for StepError {
    fn from(error: LedgerError) -> Self {
        Self::Hub(error.into())
    }
}

impl From<SiteError> for StepError {
    fn from(error: SiteError) -> Self {
        Self::Site(error)
    }
}

async fn site_failed(
    context: &Context,
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    error: &SiteError,
    now: Timestamp,
) -> Outcome {
    if error.is_fenced() {
        // A newer operator acts there. Whatever this one still says about the grant could only overwrite what that one knows.
        tracing::error!(site = held.spec.site, %error, "a newer operator has taken over; this one ends");
        context.ledger.lost.cancel();
        return Ok(Action::await_change());
    }
    if error.is_transient() {
        return not_reached(api, held, &error.to_string(), TRY_SITE, now).await;
    }
    context.events.warn(held, "Deliver", Reason::ApplyRefused.as_str(), &error.to_string());
    write(api, held, &grant::refused(held, Reason::ApplyRefused, &error.to_string(), false, now)).await?;
    Ok(Action::requeue(spread(TRY_SITE * 4, &held.name_any(), 0)))
}

async fn not_reached(
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    message: &str,
    again: Duration,
    now: Timestamp,
) -> Outcome {
    let revoking = held.spec.revocation.is_some();
    let message = if revoking {
        format!("{message}; the charge stays, and the revocation finishes by itself once the site is back")
    } else {
        message.to_owned()
    };
    write(api, held, &grant::refused(held, Reason::SiteUnreachable, &message, true, now)).await?;
    Ok(Action::requeue(spread(again, &held.name_any(), 0)))
}

/// A record of the end keeps no finalizer, once somebody may delete it.
async fn rest(context: &Context, held: &ResourceGrant) -> Outcome {
    use crate::runtime::hub::{has_finalizer, remove_finalizer};
    use zhengyun_crds::marks::FINALIZER_GRANT;
    context.looked.forget(&key(held));
    if has_finalizer(held, FINALIZER_GRANT) {
        let api: Api<ResourceGrant> = context.namespaced(&held.namespace().unwrap_or_default());
        remove_finalizer(&api, held, FINALIZER_GRANT).await?;
    }
    Ok(Action::await_change())
}

/// Writes a status if it differs.
pub(crate) async fn write(
    api: &Api<ResourceGrant>,
    held: &ResourceGrant,
    status: &ResourceGrantStatus,
) -> kube::Result<ResourceGrant> {
    if held.status.as_ref() == Some(status) {
        return Ok(held.clone());
    }
    replace_status(api, held, held.status.as_ref(), status).await
}

/// The namespace at the site.
pub(crate) fn namespace_of(held: &ResourceGrant) -> Result<&str, ReconcileError> {
    held.status
        .as_ref()
        .and_then(|s| s.namespace.as_deref())
        .ok_or_else(|| ReconcileError::Transient("status.namespace is missing on a charged grant".to_owned()))
}

/// A look at what stands, before it is due.
pub(crate) fn look_again(link: &SiteLink, held: &ResourceGrant) -> Action {
    Action::requeue(spread(regularly(link), &held.name_any(), 1))
}

/// How often what stands at a site is looked at although nothing is seen to change.
fn regularly(link: &SiteLink) -> Duration {
    if link.sees_all() { LOOK_AGAIN } else { LOOK_BLINDLY }
}

/// Makes sure that the site's watch covers the kinds of a grant.
pub(crate) fn watch_kinds(link: &Arc<SiteLink>, held: &ResourceGrant) {
    for kind in &held.spec.bundle.kinds {
        link.ensure_kind(&kind.group, &kind.version, &kind.kind, &kind.plural);
    }
}

//! What changed at a site, told to the controller of grants: watches of metadata only, and the site's return after an outage.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use tokio::time::Instant;
use zhengyun_crds::marks;

use super::link::SiteLink;
use crate::runtime::backoff::spread;

/// Kinds that stand in every grant's namespace, or are made there by what stands in it: group, version, kind, plural.
const ALWAYS: &[(&str, &str, &str, &str)] = &[
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "ResourceQuota", "resourcequotas"),
    ("", "v1", "LimitRange", "limitranges"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
];
/// First and longest pause of a watch that failed, and of the question whether a lost site answers again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Pause of a watch that the site refuses: somebody must act first.
const REFUSED_PAUSE: Duration = Duration::from_secs(300);
/// A failure this long after the one before starts with the first pause again.
const CALM: Duration = Duration::from_secs(120);
/// Wait for more of those that have everything looked at.
const GATHER: Duration = Duration::from_millis(100);

/// Something changed at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Something that was delivered for a grant.
    Grant {
        /// Department.
        department: String,
        /// Name of the grant.
        grant: String,
        /// Whether its namespace is gone.
        ended: bool,
    },
    /// Anything may have: the site answers again, its watches begin anew, or writes are let through.
    SiteBack(String),
}

/// Pauses between tries: doubled each time up to a bound, spread so that many do not come at once.
struct Pause {
    round: u32,
    last: Option<Instant>,
}

impl Pause {
    const fn new() -> Self {
        Self { round: 0, last: None }
    }

    fn next(&mut self, key: &str) -> Duration {
        if self.last.is_some_and(|last| last.elapsed() > CALM) {
            self.round = 0;
        }
        self.last = Some(Instant::now());
        let doubled = FIRST_PAUSE.saturating_mul(1_u32 << self.round.min(10));
        self.round = self.round.saturating_add(1);
        spread(doubled.min(LONGEST_PAUSE), key, self.round)
    }
}

/// Starts to watch a site.
pub(super) fn start(link: &Arc<SiteLink>) {
    tokio::spawn(attend(Arc::clone(link)));
    for (group, version, kind, plural) in ALWAYS {
        link.ensure_kind(group, version, kind, plural);
    }
}

/// Looks for the return of a lost site, and passes on that everything is to be looked at.
async fn attend(link: Arc<SiteLink>) {
    let mut pause = Pause::new();
    loop {
        tokio::select! {
            biased;
            () = link.ended() => return,
            () = link.is_lost() => {
                tokio::select! {
                    biased;
                    () = link.ended() => return,
                    () = seek(&link, &mut pause) => link.look_again(),
                }
            }
            () = link.asked_to_look() => {
                tokio::time::sleep(GATHER).await;
                link.touch(Touch::SiteBack(link.name().to_owned()));
            }
        }
    }
}

/// Asks until the site answers.
async fn seek(link: &SiteLink, pause: &mut Pause) {
    // A site never asked before is asked at once, a lost one after a pause: it may come and go.
    if link.state().reachable.is_some() {
        tokio::time::sleep(pause.next(link.name())).await;
    }
    while let Err(error) = link.probe().await {
        link.lost(&error.to_string());
        tokio::time::sleep(pause.next(link.name())).await;
    }
    link.found();
}

/// Watches one kind until the connection ends.
pub(super) async fn follow(link: Arc<SiteLink>, resource: ApiResource) {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(link.watches().clone(), &resource);
    let selector = format!("{}={}", marks::LABEL_MANAGED_BY, marks::MANAGED_BY);
    let mut events = std::pin::pin!(kube::runtime::watcher(api, watcher::Config::default().labels(&selector)));
    let mut pause = Pause::new();
    loop {
        let event = tokio::select! {
            biased;
            () = link.ended() => return,
            event = events.next() => event,
        };
        let wait = match event {
            None => return,
            Some(Ok(event)) => {
                link.set_watched(&resource, true);
                pass_on(&link, &resource, event);
                continue;
            }
            Some(Err(error)) => pause_after(&link, &resource, &error, &mut pause),
        };
        tokio::select! {
            biased;
            () = link.ended() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn pass_on(link: &SiteLink, resource: &ApiResource, event: Event<PartialObjectMeta<DynamicObject>>) {
    let ended = resource.kind == "Namespace" && matches!(event, Event::Delete(_));
    match event {
        Event::Apply(object) | Event::Delete(object) => {
            let labels = object.metadata.labels.unwrap_or_default();
            if let (Some(department), Some(grant)) =
                (labels.get(marks::LABEL_DEPARTMENT), labels.get(marks::LABEL_GRANT))
            {
                link.touch(Touch::Grant { department: department.clone(), grant: grant.clone(), ended });
            }
        }
        Event::Init | Event::InitApply(_) => {}
        // What was deleted while nobody watched shows in no event, so everything is looked at.
        Event::InitDone => link.look_again(),
    }
}

fn pause_after(link: &SiteLink, resource: &ApiResource, error: &watcher::Error, pause: &mut Pause) -> Duration {
    let cause = match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => cause,
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => return pause.next(&resource.plural),
    };
    match cause {
        kube::Error::Api(status) if (400..500).contains(&status.code) && !matches!(status.code, 410 | 429) => {
            tracing::warn!(
                site = link.name(),
                kind = resource.kind,
                cause = status.message,
                "the site refuses a watch; drift of this kind is found by the regular look only"
            );
            link.set_watched(resource, false);
            spread(REFUSED_PAUSE, &resource.plural, 0)
        }
        kube::Error::Api(_) => pause.next(&resource.plural),
        transport => {
            link.lost(&transport.to_string());
            pause.next(&resource.plural)
        }
    }
}

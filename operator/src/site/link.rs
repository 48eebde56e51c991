//! The connection to a site, and the connections to all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::channel::mpsc;
use jiff::Timestamp;
use kube::Client;
use kube::api::ApiResource;
use kube::client::ClientBuilder;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::kinds::Kinds;
use super::kubeconfig::{ConnectError, Credential};
use super::watch::{self as watching, Touch};
use super::{SiteError, facts};
use crate::runtime::metrics::{Metrics, SiteLabel};
use crate::runtime::writes::{Cluster, Writes};

/// What changed at sites, for the controller of grants.
pub type Touched = mpsc::UnboundedReceiver<Touch>;

/// Whether a site answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Whether it does; unknown until the first answer.
    pub reachable: Option<bool>,
    /// What happened instead of the last answer.
    pub last_error: Option<String>,
}

/// The connection to one site, made with one credential. A new credential makes a new connection.
pub struct SiteLink {
    name: String,
    credential: Credential,
    calls: Client,
    watches: Client,
    epoch: AtomicI64,
    /// Whether the caller has not confirmed identity and fence, or has found them wrong.
    refused: AtomicBool,
    /// Epoch whose fence was seen to keep older operators out.
    fenced: AtomicI64,
    state: watch::Sender<LinkState>,
    look_again: Notify,
    kinds: Kinds,
    stop: CancellationToken,
    touches: mpsc::UnboundedSender<Touch>,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for SiteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteLink")
            .field("name", &self.name)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

impl SiteLink {
    /// Name of the site.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Client for calls; connections and reads time out, nothing is repeated by itself.
    pub const fn calls(&self) -> &Client {
        &self.calls
    }

    /// Client for watches.
    pub(super) const fn watches(&self) -> &Client {
        &self.watches
    }

    /// When the credential expires, if it says so.
    pub const fn credential_expires(&self) -> Option<Timestamp> {
        self.credential.expires()
    }

    /// Whether the site answers, and what happened last if it does not.
    pub fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Sets the epoch that every write carries.
    pub fn set_epoch(&self, epoch: i64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Stops all writes to the site, or lets them through once its identity and its fence are confirmed.
    ///
    /// A new connection lets none through, except to the same API server as its predecessor.
    pub fn refuse_writes(&self, refuse: bool) {
        let before = self.refused.swap(refuse, Ordering::AcqRel);
        if before && !refuse {
            // What was turned away meanwhile is taken up.
            self.look_again.notify_one();
        }
    }

    /// Makes sure that objects of a kind are watched.
    pub fn ensure_kind(self: &Arc<Self>, group: &str, version: &str, kind: &str, plural: &str) {
        if self.kinds.add(group, plural) {
            let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
            let resource = ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version,
                kind: kind.to_owned(),
                plural: plural.to_owned(),
            };
            tokio::spawn(watching::follow(Arc::clone(self), resource));
        }
    }

    /// Whether the site shows everything that changes there.
    pub fn sees_all(&self) -> bool {
        self.kinds.all_watched()
    }

    /// Remembers whether a kind can be watched.
    pub(super) fn set_watched(&self, resource: &ApiResource, watched: bool) {
        self.kinds.set_watched(&resource.group, &resource.plural, watched);
    }

    /// The epoch to write with.
    pub(super) fn permit(&self) -> Result<i64, SiteError> {
        let epoch = self.epoch.load(Ordering::Acquire);
        if self.refused.load(Ordering::Acquire) || epoch < 1 {
            return Err(SiteError::NotConfirmed { site: self.name.clone() });
        }
        Ok(epoch)
    }

    /// Whether the fence was seen to be in force for an epoch.
    pub(super) fn is_fenced_at(&self, epoch: i64) -> bool {
        self.fenced.load(Ordering::Acquire) == epoch
    }

    /// Remembers that it was.
    pub(super) fn set_fenced_at(&self, epoch: i64) {
        self.fenced.store(epoch, Ordering::Release);
    }

    /// No answer came. The return of the site is looked for from now on.
    pub(super) fn lost(&self, cause: &str) {
        let changed = self.state.send_if_modified(|state| {
            let changed = state.reachable != Some(false);
            *state = LinkState { reachable: Some(false), last_error: Some(cause.to_owned()) };
            changed
        });
        if changed && !self.stop.is_cancelled() {
            tracing::warn!(site = self.name, cause, "the site does not answer");
            self.metrics.site_reachable.get_or_create(&SiteLabel { site: self.name.clone() }).set(0);
        }
    }

    /// The site answers again, or for the first time.
    pub(super) fn found(&self) {
        let changed = self.state.send_if_modified(|state| {
            let changed = state.reachable != Some(true);
            *state = LinkState { reachable: Some(true), last_error: None };
            changed
        });
        if changed && !self.stop.is_cancelled() {
            tracing::info!(site = self.name, "the site answers");
            self.metrics.site_reachable.get_or_create(&SiteLabel { site: self.name.clone() }).set(1);
        }
    }

    /// Has everything at this site looked at soon, once for all that asked.
    pub(super) fn look_again(&self) {
        self.look_again.notify_one();
    }

    /// Waits until everything is to be looked at.
    pub(super) async fn asked_to_look(&self) {
        self.look_again.notified().await;
    }

    /// Waits until the site does not answer, or was never asked.
    pub(super) async fn is_lost(&self) {
        // An error would mean that the sender is gone, which this very object holds.
        let _ = self.state.subscribe().wait_for(|s| s.reachable != Some(true)).await;
    }

    /// Tells the controller of grants.
    pub(super) fn touch(&self, touch: Touch) {
        if !self.stop.is_cancelled() {
            // Nobody listens any more when the operator shuts down.
            let _ = self.touches.unbounded_send(touch);
        }
    }

    /// Waits until this connection is given up.
    pub(super) async fn ended(&self) {
        self.stop.cancelled().await;
    }

    /// Asks whether the site answers at all.
    pub(super) async fn probe(&self) -> Result<(), SiteError> {
        match facts::version(self).await {
            // Whatever it says about the credential, it answers.
            Ok(_) | Err(SiteError::Unauthorized { .. } | SiteError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Goes on where a connection to the same API server was: only the credential is a new one.
    fn succeed(&self, former: &Self) {
        self.epoch.store(former.epoch.load(Ordering::Acquire), Ordering::Release);
        self.refused.store(former.refused.load(Ordering::Acquire), Ordering::Release);
        self.fenced.store(former.fenced.load(Ordering::Acquire), Ordering::Release);
        self.state.send_replace(former.state());
    }
}

/// Makes the clients of a site: over the network, or for a simulation over what stands in for it.
pub trait Connector: Send + Sync {
    /// A client for calls and one for watches.
    ///
    /// # Errors
    /// When no client can be made with the credential.
    fn clients(&self, site: &str, credential: &Credential) -> Result<(Client, Client), ConnectError>;
}

/// Connects over the network; writes are counted.
#[derive(Debug)]
pub struct Network(pub Arc<Writes>);

impl Connector for Network {
    fn clients(&self, _: &str, credential: &Credential) -> Result<(Client, Client), ConnectError> {
        // The client's own words could repeat parts of the credential.
        let client = |config| {
            let builder = ClientBuilder::try_from(config).map_err(|_| ConnectError::Unreadable {
                problem: "no client can be made with its CA and credential".to_owned(),
            })?;
            Ok::<_, ConnectError>(builder.with_layer(&self.0.layer(Cluster::Site)).build())
        };
        Ok((client(credential.for_calls()?)?, client(credential.for_watches()?)?))
    }
}

/// The connections to all sites.
pub struct SiteLinks {
    links: RwLock<BTreeMap<String, Arc<SiteLink>>>,
    /// Held while a connection is made, so that one site never has two.
    connecting: tokio::sync::Mutex<()>,
    touches: mpsc::UnboundedSender<Touch>,
    metrics: Arc<Metrics>,
    connector: Arc<dyn Connector>,
    stop: CancellationToken,
}

impl fmt::Debug for SiteLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(links.keys()).finish()
    }
}

impl SiteLinks {
    /// No connections yet, and the stream of what changes at those to come. All of them end with `stop`.
    pub fn new(metrics: Arc<Metrics>, connector: Arc<dyn Connector>, stop: CancellationToken) -> (Arc<Self>, Touched) {
        let (touches, stream) = mpsc::unbounded();
        let links = Self {
            links: RwLock::default(),
            connecting: tokio::sync::Mutex::default(),
            touches,
            metrics,
            connector,
            stop,
        };
        (Arc::new(links), stream)
    }

    /// The connection to a site, if there is one.
    pub fn get(&self, site: &str) -> Option<Arc<SiteLink>> {
        self.links.read().unwrap_or_else(PoisonError::into_inner).get(site).map(Arc::clone)
    }

    /// The connection to a site with a credential: the existing one, or a new one if the credential changed.
    ///
    /// Nothing is sent yet. The new connection watches what was delivered and lets writes through only after
    /// [`SiteLink::refuse_writes`] with `false`, unless it is to the same API server as before.
    pub async fn connect(&self, site: &str, kubeconfig: &str) -> Result<Arc<SiteLink>, ConnectError> {
        let credential = Credential::read(kubeconfig)?;
        let _one_at_a_time = self.connecting.lock().await;
        let former = self.get(site);
        if let Some(link) = former.as_ref().filter(|l| l.credential == credential) {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(self.open(site, credential)?);
        if let Some(former) = former {
            if former.credential.same_server(&link.credential) {
                link.succeed(&former);
            }
            former.stop.cancel();
        }
        self.links.write().unwrap_or_else(PoisonError::into_inner).insert(site.to_owned(), Arc::clone(&link));
        watching::start(&link);
        Ok(link)
    }

    /// Ends the connection to a site.
    pub fn drop_site(&self, site: &str) {
        let link = self.links.write().unwrap_or_else(PoisonError::into_inner).remove(site);
        if let Some(link) = link {
            link.stop.cancel();
        }
    }

    fn open(&self, site: &str, credential: Credential) -> Result<SiteLink, ConnectError> {
        let (calls, watches) = self.connector.clients(site, &credential)?;
        Ok(SiteLink {
            name: site.to_owned(),
            calls,
            watches,
            credential,
            epoch: AtomicI64::new(0),
            refused: AtomicBool::new(true),
            fenced: AtomicI64::new(0),
            state: watch::Sender::new(LinkState::default()),
            look_again: Notify::new(),
            kinds: Kinds::default(),
            stop: self.stop.child_token(),
            touches: self.touches.clone(),
            metrics: Arc::clone(&self.metrics),
        })
    }
}

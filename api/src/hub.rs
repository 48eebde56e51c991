//! The hub: as the API itself for watching and reviews, and as a caller for that caller's reads and writes.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request as Call;
use kube::core::Status;
use kube::{Client, Config, Resource};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::Args;
use crate::cache::{Caches, Deleted, Written};
use crate::error::RunError;

/// Who the hub records as the writer of a field.
const FIELD_MANAGER: &str = "zhengyun-api";
/// Pauses before a call that failed in transit is made again.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// Connections to the hub.
#[derive(Clone)]
pub struct Hub {
    own: Client,
    /// Same server and trust, no credentials: every call brings its caller's.
    bare: Client,
    timeout: Duration,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Why a call to the hub brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HubError {
    /// The hub refused.
    #[error("the hub refused: {0}")]
    Refused(Box<Status>),
    /// The hub could not be reached.
    #[error("the hub cannot be reached: {0}")]
    Unreachable(kube::Error),
    /// The hub did not answer in time.
    #[error("the hub did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The hub's answer cannot be read.
    #[error("the hub's answer cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// The call cannot be built.
    #[error("the call to the hub cannot be built: {0}")]
    Call(String),
}

impl Hub {
    /// Connects as the arguments say. Nothing is sent yet.
    pub async fn connect(args: &Args) -> Result<Self, RunError> {
        let mut config = match &args.kubeconfig {
            Some(path) => from_file(path).await.map_err(|cause| RunError::Kubeconfig { path: path.clone(), cause })?,
            None => Config::incluster().map_err(RunError::NoHub)?,
        };
        // The client's own retry repeats POST blindly; ours below knows which calls are safe to repeat.
        config.default_retry = false;
        let own = Client::try_from(config.clone()).map_err(RunError::Client)?;
        config.auth_info = kube::config::AuthInfo::default();
        let bare = Client::try_from(config).map_err(RunError::Client)?;
        Ok(Self { own, bare, timeout: args.hub_timeout() })
    }

    /// A hub behind given clients: `own` carries the API's credentials, `bare` carries none.
    pub const fn from_clients(own: Client, bare: Client, timeout: Duration) -> Self {
        Self { own, bare, timeout }
    }

    /// The client that watches; it has no deadline.
    pub(crate) const fn own(&self) -> &Client {
        &self.own
    }

    /// Creates a review (`TokenReview`, `SubjectAccessReview`) as the API itself; reviews are answered, not stored.
    pub(crate) async fn review<T: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<T, HubError> {
        let call = Call::new(path).create(&PostParams::default(), body);
        send(&self.own, self.timeout, call, None).await
    }

    /// The hub as the holder of a token sees it; `caches` are those that the caller's next answers are read from.
    pub(crate) fn as_caller<'a>(&self, token: Arc<SecretString>, caches: &'a Caches) -> CallerHub<'a> {
        CallerHub { client: self.bare.clone(), timeout: self.timeout, token, caches }
    }
}

async fn from_file(path: &std::path::Path) -> Result<Config, kube::config::KubeconfigError> {
    let kubeconfig = kube::config::Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await
}

/// The hub with one caller's rights.
///
/// A write comes back once the API's own cache has seen it, so that whoever wrote reads what was written.
pub(crate) struct CallerHub<'a> {
    client: Client,
    timeout: Duration,
    token: Arc<SecretString>,
    caches: &'a Caches,
}

impl CallerHub<'_> {
    /// Reads one object.
    pub(crate) async fn get<K: Resource<DynamicType = ()> + DeserializeOwned>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<K, HubError> {
        self.send(calls::<K>(namespace).get(name, &kube::api::GetParams::default())).await
    }

    /// Creates an object under its own name: safe to repeat, a second arrival is refused as existing.
    pub(crate) async fn create<K: Written + Serialize + DeserializeOwned>(
        &self,
        namespace: &str,
        object: &K,
        dry_run: bool,
    ) -> Result<K, HubError> {
        let body = serde_json::to_vec(object).map_err(|e| HubError::Call(e.to_string()))?;
        let parameters = PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) };
        self.write(calls::<K>(namespace).create(&parameters, body), dry_run).await
    }

    /// Merges a patch into an object; the resourceVersion and UID in it guard the write, so it is safe to repeat.
    pub(crate) async fn patch<K: Written + DeserializeOwned>(
        &self,
        namespace: &str,
        name: &str,
        patch: &serde_json::Value,
        dry_run: bool,
    ) -> Result<K, HubError> {
        let parameters =
            PatchParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.write(calls::<K>(namespace).patch(name, &parameters, &Patch::Merge(patch)), dry_run).await
    }

    /// Reads one object as it stands on the wire, with the fields that this version does not know.
    pub(crate) async fn get_raw<K: Resource<DynamicType = ()>>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, HubError> {
        self.send(calls::<K>(namespace).get(name, &kube::api::GetParams::default())).await
    }

    /// Deletes an object as it was read: its UID and resourceVersion guard the call, so it is safe to repeat. One that is gone by
    /// then is as it was to be.
    pub(crate) async fn delete<K: Deleted>(&self, namespace: &str, seen: &K, dry_run: bool) -> Result<(), HubError> {
        let metadata = seen.meta();
        let guard = Preconditions { uid: metadata.uid.clone(), resource_version: metadata.resource_version.clone() };
        let parameters = DeleteParams { dry_run, preconditions: Some(guard), ..DeleteParams::default() };
        let name = metadata.name.as_deref().unwrap_or_default();
        let answer: Result<serde_json::Value, _> = self.send(calls::<K>(namespace).delete(name, &parameters)).await;
        if let Err(error) = answer
            && !error.status().is_some_and(Status::is_not_found)
        {
            return Err(error);
        }
        if !dry_run {
            seen.gone(self.caches).await;
        }
        Ok(())
    }

    /// Sends a write, and waits until answers show what it stored.
    async fn write<K: Written + DeserializeOwned>(
        &self,
        call: Result<Request<Vec<u8>>, kube::core::request::Error>,
        dry_run: bool,
    ) -> Result<K, HubError> {
        let written: K = self.send(call).await?;
        if !dry_run {
            written.shown(self.caches).await;
        }
        Ok(written)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        call: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, HubError> {
        let mut credential = HeaderValue::from_str(&format!("Bearer {}", self.token.expose_secret()))
            .map_err(|_| HubError::Call("the bearer token cannot be sent in a header".to_owned()))?;
        credential.set_sensitive(true);
        send(&self.client, self.timeout, call, Some(credential)).await
    }
}

fn calls<K: Resource<DynamicType = ()>>(namespace: &str) -> Call {
    Call::new(K::url_path(&(), Some(namespace)))
}

/// Sends a call that is safe to repeat, again after a failure in transit, all within one deadline.
async fn send<T: DeserializeOwned>(
    client: &Client,
    timeout: Duration,
    call: Result<Request<Vec<u8>>, kube::core::request::Error>,
    credential: Option<HeaderValue>,
) -> Result<T, HubError> {
    let mut call = call.map_err(|e| HubError::Call(e.to_string()))?;
    if let Some(credential) = credential {
        call.headers_mut().insert(AUTHORIZATION, credential);
    }
    // Read as text here rather than by the client, which would log a body that it cannot decode, tokens in it included.
    let text = tokio::time::timeout(timeout, send_patiently(client, &call))
        .await
        .map_err(|_| HubError::Timeout(timeout))??;
    serde_json::from_str(&text).map_err(HubError::Unreadable)
}

async fn send_patiently(client: &Client, call: &Request<Vec<u8>>) -> Result<String, HubError> {
    for pause in RETRY_PAUSES {
        match send_once(client, call).await {
            Err(error) if error.is_passing() => tokio::time::sleep(pause).await,
            settled => return settled,
        }
    }
    send_once(client, call).await
}

async fn send_once(client: &Client, call: &Request<Vec<u8>>) -> Result<String, HubError> {
    client.request_text(call.clone()).await.map_err(|error| match error {
        kube::Error::Api(status) => HubError::Refused(status),
        other => HubError::Unreachable(other),
    })
}

impl HubError {
    /// Whether the same call may succeed in a moment.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(status) => matches!(status.code, 429 | 502 | 503 | 504),
            Self::Timeout(_) | Self::Unreadable(_) | Self::Call(_) => false,
        }
    }

    /// Whether somebody else wrote first.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }

    /// Whether the name is taken.
    pub(crate) fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// The hub's refusal, if it was one.
    pub(crate) fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused(status) => Some(status),
            _ => None,
        }
    }
}

//! The API server of a source or target.
//!
//! The caller hands over address, authority and token, each by its own argument. There is no kubeconfig here: what one could do
//! beyond that (run programs, read files, use proxies) cannot be said.

pub mod discover;

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use kube::core::Status;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::error::{Result, WorkerError};
use crate::secret::read_secret;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one call may take: a page of large objects over a slow line.
const DEADLINE: Duration = Duration::from_secs(60);
/// The largest answer that is taken, in bytes; as objects in memory, it takes several times as much.
const LARGEST: usize = 32 << 20;
/// How often a read is repeated.
const REPEATS: u32 = 5;
/// The first pause between repeats; doubled each time.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest that a server may make us wait before the next call.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How the API server is reached.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArgs {
    /// Address of the API server of a namespace, such as https://10.0.0.1:6443.
    #[arg(long, env = "ZHENGYUN_SERVER", value_name = "URL", requires_all = ["server_ca_file", "server_token_file"])]
    pub server: Option<String>,
    /// PEM file of the authority that signed the API server's certificate.
    #[arg(long, env = "ZHENGYUN_SERVER_CA_FILE", value_name = "FILE")]
    pub server_ca_file: Option<PathBuf>,
    /// File with a bearer token for the API server.
    #[arg(long, env = "ZHENGYUN_SERVER_TOKEN_FILE", value_name = "FILE")]
    pub server_token_file: Option<PathBuf>,
    /// A client that is there already, for whoever calls the worker as a library.
    #[arg(skip)]
    pub client: GivenClient,
}

/// A client of the caller's own.
#[derive(Clone, Default)]
pub struct GivenClient(pub Option<Client>);

impl std::fmt::Debug for GivenClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "GivenClient" } else { "none" })
    }
}

/// A client, and the runtime that its calls run on.
#[derive(Clone)]
pub struct Cluster {
    /// For calls.
    pub client: Client,
    /// For whoever blocks.
    pub runtime: Handle,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

/// Why a call has no result.
#[derive(Debug)]
pub enum Refusal {
    /// The API server answered with an error.
    Answer(Box<Status>),
    /// There was no answer, or none that is one.
    Silence(String),
    /// The answer was larger than what is taken into memory.
    TooLarge,
}

impl Refusal {
    /// The code of the answer; none without one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Answer(status) => Some(status.code),
            Self::Silence(_) | Self::TooLarge => None,
        }
    }

    /// For people.
    pub fn cause(&self) -> String {
        match self {
            Self::Answer(status) if status.message.is_empty() => format!("it answered {}", status.code),
            Self::Answer(status) => status.message.clone(),
            Self::Silence(cause) => cause.clone(),
            Self::TooLarge => format!("the answer has more than {} MiB", LARGEST >> 20),
        }
    }

    /// As the error of a command.
    pub fn told(&self, action: &str) -> WorkerError {
        let fix = match self.code() {
            Some(401) => "give a token that is valid",
            Some(403) => "let the token's account do this",
            _ => "make the API server reachable and run the command again",
        };
        let transient = may_pass(self);
        WorkerError::Cluster { action: action.to_owned(), cause: self.cause(), fix: fix.to_owned(), transient }
    }
}

impl ClusterArgs {
    /// Makes a client. Nothing is asked yet.
    pub fn connect(&self, runtime: &Handle) -> Result<Cluster> {
        if let Some(client) = &self.client.0 {
            return Ok(Cluster { client: client.clone(), runtime: runtime.clone() });
        }
        let needed = |name: &str| WorkerError::input(name, "is missing", "a namespace needs its API server");
        let server = self.server.as_ref().ok_or_else(|| needed("--server"))?;
        let wrong = |problem: &str| {
            WorkerError::input("--server", format!("\"{server}\" {problem}"), "write https://HOST:PORT, and no more")
        };
        let uri: http::Uri = server.parse().map_err(|_| wrong("is no address"))?;
        if uri.scheme_str() != Some("https") {
            return Err(wrong("is not https, and the token would be sent in clear"));
        }
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(wrong("holds a user name, or no host"));
        }
        let file = self.server_ca_file.as_ref().ok_or_else(|| needed("--server-ca-file"))?;
        let authorities: Vec<Vec<u8>> = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|e| WorkerError::local(file, e))?
            .into_iter()
            .map(|certificate| certificate.to_vec())
            .collect();
        let file = self.server_token_file.as_ref().ok_or_else(|| needed("--server-token-file"))?;
        let token = read_secret("--server-token-file", file)?;
        let mut config = Config::new(uri);
        config.root_cert = Some(authorities);
        config.auth_info = serde_json::from_value(json!({ "token": token.trim() }))
            .map_err(|_| WorkerError::input("--server-token-file", "cannot be used", "write the token alone"))?;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(DEADLINE);
        config.write_timeout = Some(DEADLINE);
        // Otherwise the time that a pooled connection was idle counts against the next call.
        config.reset_reader_on_write = true;
        // The client's own retry repeats POST.
        config.default_retry = false;
        let _inside = runtime.enter();
        let client = Client::try_from(config).map_err(|e| {
            WorkerError::input("--server", format!("cannot be used: {e}"), "check address and authority")
        })?;
        Ok(Cluster { client, runtime: runtime.clone() })
    }
}

impl Cluster {
    /// One call. The client's own would take an answer of any size into memory, and log one that is no JSON.
    pub async fn ask(&self, request: http::Request<Vec<u8>>) -> std::result::Result<Value, Refusal> {
        match tokio::time::timeout(DEADLINE, self.answer(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Refusal::Silence(format!("no answer within {} s", DEADLINE.as_secs()))),
        }
    }

    async fn answer(&self, request: http::Request<Vec<u8>>) -> std::result::Result<Value, Refusal> {
        let response = self.client.send(request.map(Body::from)).await.map_err(|e| Refusal::Silence(innermost(&e)))?;
        let (code, body) = (response.status(), Limited::new(response.into_body(), LARGEST));
        let too_large_or_silent = |error: Box<dyn std::error::Error + Send + Sync>| {
            if error.is::<LengthLimitError>() { Refusal::TooLarge } else { Refusal::Silence(innermost(error.as_ref())) }
        };
        let body = body.collect().await.map_err(too_large_or_silent)?.to_bytes();
        if code.is_success() {
            // The parser's message would quote the answer.
            return serde_json::from_slice(&body).map_err(|_| Refusal::Silence("the answer is no JSON".to_owned()));
        }
        let status = serde_json::from_slice::<Status>(&body).ok().filter(|status| status.code != 0);
        Err(Refusal::Answer(status.unwrap_or(Status { code: code.as_u16(), ..Status::default() }).boxed()))
    }

    /// Reads, and repeats what may pass.
    pub async fn read(&self, path: &str) -> std::result::Result<Value, Refusal> {
        self.read_as(path, "application/json").await
    }

    /// Reads the metadata of a list alone.
    pub async fn read_metadata(&self, path: &str) -> std::result::Result<Value, Refusal> {
        self.read_as(path, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").await
    }

    async fn read_as(&self, path: &str, accept: &str) -> std::result::Result<Value, Refusal> {
        let mut left = REPEATS;
        let mut pause = PAUSE;
        loop {
            let request = http::Request::get(path).header(http::header::ACCEPT, accept).body(Vec::new());
            let request = request.map_err(|e| Refusal::Silence(format!("{path} is no address: {e}")))?;
            match self.ask(request).await {
                Err(refusal) if left > 0 && may_pass(&refusal) => {
                    left -= 1;
                    tokio::time::sleep(wished(&refusal).unwrap_or(pause)).await;
                    pause = pause.saturating_mul(2);
                }
                other => return other,
            }
        }
    }
}

/// Whether the same call may succeed in a moment.
pub fn may_pass(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Answer(status) => status.code == 429 || status.code >= 500,
        Refusal::Silence(_) => true,
        Refusal::TooLarge => false,
    }
}

/// How long the server asks us to wait.
pub fn wished(refusal: &Refusal) -> Option<Duration> {
    let Refusal::Answer(status) = refusal else { return None };
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()).min(LONGEST_PAUSE))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Text as a part of an address: in a path, or as the value of a parameter.
pub fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Refuses what is no name of a namespace: it becomes a part of addresses.
pub fn check_namespace(argument: &str, namespace: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !namespace.is_empty() && namespace.len() <= 63 && namespace.bytes().all(plain) {
        return Ok(());
    }
    let fix = "use lower case letters, digits and -, at most 63";
    Err(WorkerError::input(argument, format!("\"{namespace}\" is no name of a namespace"), fix))
}

/// Text at a pointer; empty if there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

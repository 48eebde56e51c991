//! From arguments to a store.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};
use serde::Deserialize;
use tokio::runtime::Handle;

use super::Store;
use super::room::Room;
use crate::error::{Result, WorkerError};
use crate::secret::read_secret;

/// How long a connection to S3 may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one request to S3 may take: a pack over a slow line.
const REQUEST: Duration = Duration::from_secs(60);
/// How long a request to S3 is repeated.
const RETRY: Duration = Duration::from_secs(30);

/// Where the repository is.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// A directory, or s3://BUCKET/PREFIX.
    #[arg(long, env = "ZHENGYUN_STORE", value_name = "PLACE")]
    pub store: String,
    /// Address of the S3 server, such as https://s3.example.gov.cn.
    #[arg(long, env = "ZHENGYUN_S3_ENDPOINT", value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Region that requests to S3 are signed for.
    #[arg(long, env = "ZHENGYUN_S3_REGION", default_value = "us-east-1", value_name = "NAME")]
    pub s3_region: String,
    /// File with {"accessKeyId": "...", "secretAccessKey": "..."}; "sessionToken" if there is one.
    #[arg(long, env = "ZHENGYUN_S3_CREDENTIALS_FILE", value_name = "FILE")]
    pub s3_credentials_file: Option<PathBuf>,
    /// PEM file of the authority that signed the S3 server's certificate.
    #[arg(long, env = "ZHENGYUN_S3_CA_FILE", value_name = "FILE")]
    pub s3_ca_file: Option<PathBuf>,
    /// Allow an S3 endpoint without TLS: for laboratories.
    #[arg(long, env = "ZHENGYUN_S3_ALLOW_HTTP")]
    pub s3_allow_http: bool,
    /// Tests only: end the process abruptly after its n-th write to the store.
    #[arg(long, env = "ZHENGYUN_CRASH_AFTER_STORE_WRITE", hide = true)]
    pub crash_after_store_write: Option<u64>,
}

/// Whether the place may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It must be there.
    Existing,
    /// A missing directory is made.
    New,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    session_token: Option<String>,
}

impl StoreArgs {
    /// Arguments for a directory.
    pub fn directory(path: &FilePath) -> Self {
        Self {
            store: path.display().to_string(),
            s3_endpoint: None,
            s3_region: "us-east-1".to_owned(),
            s3_credentials_file: None,
            s3_ca_file: None,
            s3_allow_http: false,
            crash_after_store_write: None,
        }
    }

    /// Opens the place. Nothing is asked of an S3 server yet.
    pub fn open(&self, place: Place, runtime: &Handle) -> Result<Store> {
        match self.store.strip_prefix("s3://") {
            Some(rest) => self.open_s3(rest, runtime),
            None => self.open_directory(place, runtime),
        }
    }

    fn open_directory(&self, place: Place, runtime: &Handle) -> Result<Store> {
        let path = PathBuf::from(&self.store);
        if self.store.contains("://") {
            return Err(WorkerError::input("--store", format!("\"{}\" has an unknown scheme", self.store), STORE_FIX));
        }
        if place == Place::New {
            let mut builder = std::fs::DirBuilder::new();
            // What lies there is encrypted, but its names and sizes are nobody's business.
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(&path).map_err(|e| WorkerError::local(&path, e))?;
        }
        let root = std::fs::canonicalize(&path).map_err(|e| {
            WorkerError::input("--store", format!("\"{}\" cannot be opened: {e}", self.store), STORE_FIX)
        })?;
        let objects = LocalFileSystem::new_with_prefix(&root)
            .map_err(|e| WorkerError::input("--store", format!("\"{}\" cannot be opened: {e}", self.store), STORE_FIX))?
            // A pack that an index names must still be there after a power cut.
            .with_fsync(true);
        Ok(Store {
            objects: Arc::new(objects),
            prefix: Path::default(),
            location: root.display().to_string(),
            directory: Some(root),
            runtime: runtime.clone(),
            room: Room::default(),
            crash: self.crash_after_store_write.map(|n| Arc::new(n.into())),
        })
    }

    fn open_s3(&self, rest: &str, runtime: &Handle) -> Result<Store> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(WorkerError::input("--store", format!("\"{}\" names no bucket", self.store), STORE_FIX));
        }
        let prefix = Path::parse(prefix).map_err(|e| {
            WorkerError::input("--store", format!("the prefix \"{prefix}\" is no path: {e}"), STORE_FIX)
        })?;
        let mut client = ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(REQUEST);
        if let Some(endpoint) = &self.s3_endpoint
            && endpoint.starts_with("http://")
        {
            if !self.s3_allow_http {
                return Err(WorkerError::input(
                    "--s3-endpoint",
                    format!("\"{endpoint}\" has no TLS"),
                    "give an https address, or --s3-allow-http in a laboratory",
                ));
            }
            client = client.with_allow_http(true);
        }
        if let Some(file) = &self.s3_ca_file {
            let pem = std::fs::read(file).map_err(|e| WorkerError::local(file, e))?;
            for certificate in Certificate::from_pem_bundle(&pem).map_err(|e| WorkerError::local(file, e))? {
                client = client.with_root_certificate(certificate);
            }
        }
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&self.s3_region)
            .with_client_options(client)
            .with_retry(RetryConfig { backoff: BackoffConfig::default(), max_retries: 6, retry_timeout: RETRY });
        if let Some(endpoint) = &self.s3_endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let file = self.s3_credentials_file.as_ref().ok_or_else(|| {
            WorkerError::input("--s3-credentials-file", "is missing", "name the file with the access key of the bucket")
        })?;
        let credentials: Credentials = serde_json::from_str(&read_secret("--s3-credentials-file", file)?)
            // The parser's message would quote the file.
            .map_err(|e| {
                WorkerError::input(
                    "--s3-credentials-file",
                    format!("is not the expected JSON at line {}, column {}", e.line(), e.column()),
                    "write {\"accessKeyId\": \"...\", \"secretAccessKey\": \"...\"}",
                )
            })?;
        builder =
            builder.with_access_key_id(credentials.access_key_id).with_secret_access_key(credentials.secret_access_key);
        if let Some(token) = credentials.session_token {
            builder = builder.with_token(token);
        }
        let objects =
            builder.build().map_err(|e| WorkerError::input("--store", format!("S3 cannot be used: {e}"), STORE_FIX))?;
        Ok(Store {
            objects: Arc::new(objects),
            prefix,
            location: self.store.clone(),
            directory: None,
            runtime: runtime.clone(),
            room: Room::default(),
            crash: self.crash_after_store_write.map(|n| Arc::new(n.into())),
        })
    }
}

const STORE_FIX: &str = "give a directory, or s3://BUCKET/PREFIX with --s3-endpoint";

//! Where the repositories of a store are: in a folder on this machine, or in a bucket.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use secrecy::SecretString;
use serde_json::json;
use zhengyun_crds::marks;
use zhengyun_crds::recovery::{S3Backend, StoreBackend};

use super::Recovery;
use crate::controllers::Context;
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;

/// Where they are.
#[derive(Clone, Debug)]
pub enum Home {
    /// A folder, after every link on the way was followed.
    Folder(PathBuf),
    /// A bucket.
    Bucket(S3Backend),
}

impl Home {
    /// Of a store; or why it may not be used.
    ///
    /// # Errors
    /// Field, value and fix.
    pub fn of(recovery: &Recovery, backend: &StoreBackend) -> Result<Self, String> {
        match backend {
            StoreBackend::Filesystem(folder) => recovery.place(&folder.path).map(Self::Folder),
            StoreBackend::S3(bucket) => {
                if bucket.endpoint.starts_with("http://") && !recovery.allows_http() {
                    return Err(format!(
                        "spec.backend.s3.endpoint: {} has no TLS, and the bucket's key would be of use to whoever listens: write an https address (a laboratory starts the operator with --lab-http-stores)",
                        bucket.endpoint
                    ));
                }
                if bucket.object_lock.is_some() {
                    return Err(
                        "spec.backend.s3.objectLock: locks are not set in this version: leave it out, or lock the bucket by a rule of its own".to_owned(),
                    );
                }
                Ok(Self::Bucket(bucket.clone()))
            }
        }
    }

    /// For people.
    pub fn shown(&self, below: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(below).display().to_string(),
            Self::Bucket(bucket) => address(bucket, below),
        }
    }

    /// Tells a process, in its own words, of a place below a name; or what is missing for that.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub async fn tell(
        &self,
        context: &Context,
        recovery: &Recovery,
        below: &str,
        words: &Words,
        task: &mut Task,
    ) -> Result<Result<(), String>, ReconcileError> {
        task.option(words.place, self.shown(below));
        let Self::Bucket(bucket) = self else { return Ok(Ok(())) };
        task.option(words.endpoint, &bucket.endpoint).option(words.region, &bucket.region);
        if recovery.allows_http() {
            task.text(words.allow_http);
        }
        let keys = match credentials(context, &bucket.secret_name).await? {
            Ok(keys) => keys,
            Err(message) => return Ok(Err(message)),
        };
        task.secret(words.key.0, words.key.1, keys.key);
        if let Some(ca) = keys.ca {
            task.secret(words.ca.0, words.ca.1, ca);
        }
        Ok(Ok(()))
    }
}

/// What a process calls the options for a place; of secrets also the file.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    place: &'static str,
    endpoint: &'static str,
    region: &'static str,
    allow_http: &'static str,
    key: (&'static str, &'static str),
    ca: (&'static str, &'static str),
}

/// Where a process works.
pub const STORE: Words = Words {
    place: "--store",
    endpoint: "--s3-endpoint",
    region: "--s3-region",
    allow_http: "--s3-allow-http",
    key: ("--s3-credentials-file", "bucket-key"),
    ca: ("--s3-ca-file", "bucket-ca.pem"),
};

/// Where a process that copies takes from.
pub const FROM: Words = Words {
    place: "--from",
    endpoint: "--from-s3-endpoint",
    region: "--from-s3-region",
    allow_http: "--from-s3-allow-http",
    key: ("--from-s3-credentials-file", "from-bucket-key"),
    ca: ("--from-s3-ca-file", "from-bucket-ca.pem"),
};

fn address(bucket: &S3Backend, below: &str) -> String {
    let parts = [bucket.bucket.as_str(), &bucket.prefix, below];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("s3://{}", parts.join("/"))
}

struct Keys {
    key: SecretString,
    ca: Option<SecretString>,
}

async fn credentials(context: &Context, name: &str) -> Result<Result<Keys, String>, ReconcileError> {
    let namespace = marks::SYSTEM_NAMESPACE;
    let fix = format!(
        "the cloud administrator makes it: kubectl --namespace {namespace} create secret generic {name} --from-literal=accessKeyId=... --from-literal=secretAccessKey=... (and --from-file=ca.crt=... where the service has a certificate of its own)"
    );
    let secrets: Api<Secret> = context.namespaced(namespace);
    let Some(secret) = secrets.get_opt(name).await? else {
        return Ok(Err(format!("spec.backend.s3.secretName: there is no Secret {name} in {namespace}: {fix}")));
    };
    let text = |key: &str| String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok();
    let (Some(id), Some(key)) = (text("accessKeyId"), text("secretAccessKey")) else {
        return Ok(Err(format!(
            "spec.backend.s3.secretName: Secret {name} needs the keys accessKeyId and secretAccessKey: {fix}"
        )));
    };
    let key = json!({ "accessKeyId": id.trim(), "secretAccessKey": key.trim() }).to_string();
    Ok(Ok(Keys { key: key.into(), ca: text("ca.crt").map(SecretString::from) }))
}

#[cfg(test)]
mod tests {
    use zhengyun_crds::recovery::S3Backend;

    use super::address;

    #[test]
    fn a_repository_has_its_own_place_in_the_bucket() {
        let bucket = |prefix: &str| S3Backend {
            endpoint: "https://s3.example".to_owned(),
            region: "us-east-1".to_owned(),
            bucket: "backup".to_owned(),
            prefix: prefix.to_owned(),
            secret_name: "s".to_owned(),
            object_lock: None,
        };
        assert_eq!(address(&bucket("a/b"), "finance"), "s3://backup/a/b/finance");
        assert_eq!(address(&bucket(""), "finance"), "s3://backup/finance");
        assert_eq!(address(&bucket(""), ""), "s3://backup");
    }
}

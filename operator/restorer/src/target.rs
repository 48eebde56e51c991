//! What stands at the target.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use zhengyun_domain::quantity::Quantity;
use zhengyun_domain::recovery::restore::{Existing, ObjectKey, content_digest};
use zhengyun_worker::cluster::discover::{Kind, discover};
use zhengyun_worker::cluster::{Cluster, text};
use zhengyun_worker::error::Result;

use crate::backed::{is_delivered, key_of};

/// Objects of one page of a list.
const PAGE: u32 = 500;

/// What is known of a target.
#[derive(Debug, Default)]
pub(crate) struct Target {
    /// Group and kind of what is served, with the versions.
    pub serves: BTreeMap<(String, String), BTreeSet<String>>,
    /// What stands there, of the kinds that were asked for.
    pub existing: BTreeMap<ObjectKey, Existing>,
    /// Hard limit and present use of every quota key.
    pub quota: BTreeMap<String, (Quantity, Quantity)>,
}

/// Looks at a namespace: at the kinds of these directories, and at its quotas.
pub(crate) async fn look(cluster: &Cluster, namespace: &str, directories: &BTreeSet<String>) -> Result<Target> {
    let mut target = Target::default();
    for kind in discover(cluster).await?.captured {
        target.serves.entry((kind.group.clone(), kind.kind.clone())).or_default().insert(kind.version.clone());
        if directories.contains(&kind.directory()) {
            list(cluster, namespace, &kind, |object| {
                let existing = Existing { ours: is_delivered(&object), digest: String::new() };
                let key = key_of(&object);
                target.existing.insert(key, Existing { digest: content_digest(object), ..existing });
            })
            .await?;
        }
    }
    let quotas = Kind {
        group: String::new(),
        version: "v1".to_owned(),
        plural: "resourcequotas".to_owned(),
        kind: "ResourceQuota".to_owned(),
    };
    list(cluster, namespace, &quotas, |quota| limits(&quota, &mut target.quota)).await?;
    Ok(target)
}

/// Several quotas may limit the same key: the one with the least room counts.
fn limits(quota: &Value, known: &mut BTreeMap<String, (Quantity, Quantity)>) {
    let amount = |list: &str, key: &str| -> Option<Quantity> { quota.pointer(list)?.get(key)?.as_str()?.parse().ok() };
    let hard = quota.pointer("/status/hard").and_then(Value::as_object);
    for key in hard.into_iter().flatten().map(|(key, _)| key) {
        let Some(limit) = amount("/status/hard", key) else { continue };
        let used = amount("/status/used", key).unwrap_or(Quantity::ZERO);
        let room = |(hard, used): &(Quantity, Quantity)| hard.checked_sub(used).ok();
        let one = (limit, used);
        match known.get(key) {
            Some(other) if room(other) <= room(&one) => {}
            _ => {
                known.insert(key.clone(), one);
            }
        }
    }
}

async fn list(cluster: &Cluster, namespace: &str, kind: &Kind, mut each: impl FnMut(Value)) -> Result<()> {
    let path = kind.path(namespace);
    let mut next = format!("{path}?limit={PAGE}");
    loop {
        let mut answer = cluster.read(&next).await.map_err(|refusal| refusal.told(&format!("GET {path}")))?;
        let version = text(&answer, "/apiVersion").to_owned();
        if let Some(Value::Array(items)) = answer.get_mut("items").map(Value::take) {
            for mut item in items {
                if let Some(object) = item.as_object_mut() {
                    object.entry("apiVersion").or_insert_with(|| version.clone().into());
                    object.entry("kind").or_insert_with(|| kind.kind.clone().into());
                }
                each(item);
            }
        }
        let token = text(&answer, "/metadata/continue");
        if token.is_empty() {
            return Ok(());
        }
        next = format!("{path}?limit={PAGE}&continue={}", escaped(token));
    }
}

/// A token as the value of a query parameter.
fn escaped(token: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    token.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

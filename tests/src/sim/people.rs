//! Who acts in the simulated world, with the groups that the real hub would give them.

use anyhow::{Context as _, Result};

use crate::apiserver::User;
use crate::lab::people::people;

/// An invented person of the fixtures.
///
/// # Errors
/// When there is no such person.
pub fn person(name: &str) -> Result<User> {
    let found = people()?.into_iter().find(|p| p.username == name).with_context(|| format!("there is no {name}"))?;
    let mut groups = found.groups;
    groups.push("system:authenticated".to_owned());
    Ok(User { uid: format!("uid-{name}"), name: found.username, groups })
}

fn account(namespace: &str, name: &str) -> User {
    User {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ],
        uid: format!("uid-{name}"),
    }
}

/// The token of a person; no log, event or status may tell it.
pub fn token(name: &str) -> String {
    format!("simulated-token-of-{name}")
}

/// The API's account on the hub.
pub fn api() -> User {
    account("zhengyun-system", "zhengyun-api")
}

/// The operator's account on the hub.
pub fn operator() -> User {
    account("zhengyun-system", "zhengyun-operator")
}

/// The driver's account at a site.
pub fn driver() -> User {
    account("zhengyun-system", "zhengyun-driver")
}

/// The account of what runs at a site beside the product.
pub fn provisioner() -> User {
    account("kube-system", "simulated-provisioner")
}

/// The account of recovery at a site.
pub fn recovery() -> User {
    account("zhengyun-system", "zhengyun-recovery")
}

/// Whoever has the key of a bucket.
pub fn bucket() -> User {
    User { name: "bucket-key".to_owned(), groups: vec!["system:authenticated".to_owned()], uid: String::new() }
}

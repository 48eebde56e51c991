//! What clients order.

use anyhow::Result;
use kube::{Api, Client};
use serde_json::{Value, json};
use zhengyun_crds::ResourceRequest;
use zhengyun_tests::town::submitted;

use crate::region::{ITEM, SYSTEM};
use crate::stage::CLERK;

/// The requests of a department.
pub fn requests(client: &Client, department: &str) -> Api<ResourceRequest> {
    Api::namespaced(client.clone(), &namespace(department))
}

/// A department's namespace on the hub.
pub fn namespace(department: &str) -> String {
    format!("dept-{department}")
}

/// An order for one item of `cores` cores, submitted.
///
/// # Errors
/// Never for the values used here.
pub fn create(name: &str, site: &str, cores: u32) -> Result<ResourceRequest> {
    submitted(name, CLERK, &order(site, cores))
}

/// An order for one item.
pub fn order(site: &str, cores: u32) -> Value {
    json!({
        "action": "Create", "system": SYSTEM, "site": site, "class": "Test", "justification": "a benchmark",
        "items": [{ "item": ITEM, "name": "unit", "count": cores, "parameters": {} }]
    })
}

/// An order to end a grant, submitted.
///
/// # Errors
/// Never for the values used here.
pub fn revoke(name: &str, site: &str, grant: &str) -> Result<ResourceRequest> {
    let order = json!({
        "action": "Revoke", "site": site, "grant": grant, "disposition": "Delete", "justification": "a benchmark"
    });
    submitted(name, CLERK, &order)
}

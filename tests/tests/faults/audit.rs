//! The books as somebody else than the operator computes them.

use anyhow::Result;
use zhengyun_tests::audit;
use zhengyun_tests::town::Town;

/// Runs `audit-ledger` as the cloud administrator.
pub(crate) async fn run(town: &Town, arguments: &[&str]) -> Result<(bool, String)> {
    audit::run(&town.kubeconfig_of("cloud-admin"), arguments).await
}

/// Every site's books agree with its requests and grants.
pub(crate) async fn balanced(town: &Town) -> Result<()> {
    audit::balanced(&town.kubeconfig_of("cloud-admin")).await
}

/// The digest that an audit prints for a site.
pub(crate) fn digest(text: &str, site: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(&format!("site {site}:")))?;
    Some(line.split("digest ").nth(1)?.trim().to_owned())
}

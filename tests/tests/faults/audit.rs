//! The books as somebody else than the operator computes them.

use std::process::Output;

use anyhow::{Result, ensure};
use zhengyun_tests::lab::component;
use zhengyun_tests::town::Town;

/// Runs `audit-ledger` as the cloud administrator.
pub(crate) async fn run(town: &Town, arguments: &[&str]) -> Result<(bool, String)> {
    let output: Output = tokio::process::Command::new(component::binary("zhengyun-operator")?)
        .arg("audit-ledger")
        .args(arguments)
        .arg("--kubeconfig")
        .arg(town.kubeconfig_of("cloud-admin"))
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), text))
}

/// Every site's books agree with its requests and grants.
pub(crate) async fn balanced(town: &Town) -> Result<()> {
    let (balanced, text) = run(town, &[]).await?;
    ensure!(balanced, "the books are balanced, but the audit says: {text}");
    Ok(())
}

/// The digest that an audit prints for a site.
pub(crate) fn digest(text: &str, site: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(&format!("site {site}:")))?;
    Some(line.split("digest ").nth(1)?.trim().to_owned())
}

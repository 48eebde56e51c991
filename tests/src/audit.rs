//! The books as somebody else than the operator computes them.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::lab::component;

/// Runs `audit-ledger` with a kubeconfig and further arguments; says whether it succeeded, and what it printed.
///
/// # Errors
/// When the operator's program is not built or cannot be started.
pub async fn run(kubeconfig: &Path, arguments: &[&str]) -> Result<(bool, String)> {
    let output = tokio::process::Command::new(component::binary("zhengyun-operator")?)
        .arg("audit-ledger")
        .args(arguments)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), text))
}

/// Every site's books agree with its requests and grants.
///
/// # Errors
/// What the audit says instead.
pub async fn balanced(kubeconfig: &Path) -> Result<()> {
    let (balanced, text) = run(kubeconfig, &[]).await?;
    ensure!(balanced, "the books are balanced, but the audit says: {text}");
    Ok(())
}

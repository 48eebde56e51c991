//! Writes the custom resource definitions as YAML, or checks that the written ones are current.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use zhengyun_crds::definition;

const HEADER: &str = "# Generated from the types in crds/src by `make generate`. Do not edit.\n";

fn main() -> Result<()> {
    let mut check = false;
    let mut directory = PathBuf::from("crds/yaml");
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--check" => check = true,
            "--help" | "-h" => {
                eprintln!(
                    "crdgen [--check] [DIRECTORY]   writes (or checks) the custom resource definitions, default crds/yaml"
                );
                return Ok(());
            }
            other if other.starts_with('-') => bail!("unknown option {other}; try --help"),
            other => directory = PathBuf::from(other),
        }
    }
    std::fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    let mut stale = Vec::new();
    for crd in definition::all()? {
        let path = directory.join(format!("{}.yaml", crd.spec.names.plural));
        let text = format!("{HEADER}{}", serde_saphyr::to_string(&crd)?);
        if check {
            if std::fs::read_to_string(&path).unwrap_or_default() != text {
                stale.push(path.display().to_string());
            }
        } else {
            std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
    }
    if !stale.is_empty() {
        bail!("stale: {}; run `make generate` and commit the result", stale.join(", "));
    }
    Ok(())
}

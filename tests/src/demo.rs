//! The story that `make demo` tells, on a running lab: the product's main job, by different people with their own tokens.

mod files;
mod migration;
mod parts;
mod recovery;
mod runs;
mod scenes;
mod stage;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use comfy_table::{Table, presets};

pub use migration::Sizes;
pub use stage::Stage;

use crate::world;

/// Plays the whole story on the lab in a folder.
///
/// # Errors
/// The first step that did not come out as told.
pub async fn play(lab: PathBuf, out: &mut dyn FnMut(&str)) -> Result<()> {
    let begun = Instant::now();
    let stage = Stage::open(&lab)?;
    world::establish(&stage.client_of("cloud-admin").await?, &stage.watcher("hub").await?, out).await?;
    let suffix = stage.suffix();
    let main = scenes::emergency(&stage, &suffix, out).await?;
    scenes::refused(&stage, &suffix, out).await?;
    scenes::cut_off(&stage, &suffix, out).await?;
    scenes::revoke(&stage, &main, out).await?;
    let waiting = scenes::waiting(&stage, &suffix, out).await?;
    out(&format!("\nThe story took {:.0} s. What exists now:\n", begun.elapsed().as_secs_f64()));
    out(&table(&stage).await?);
    out(&farewell(&stage, &lab, &waiting));
    Ok(())
}

async fn table(stage: &Stage) -> Result<String> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["kind", "department", "name", "where", "phase", "says"]);
    for (kind, row) in stage.overview().await? {
        let mut cells = vec![kind];
        cells.extend(row);
        table.add_row(cells);
    }
    Ok(table.to_string())
}

fn farewell(stage: &Stage, lab: &Path, waiting: &scenes::Waiting) -> String {
    let kubeconfig = lab.join("hub/admin.kubeconfig");
    let head = stage.kubeconfig_of("head-finance").unwrap_or_default();
    let (name, department) = (&waiting.request, &waiting.department);
    format!(
        r"
One request is left waiting for you: {name} of {department} (财政厅). Look around:

  kubectl --kubeconfig {kubeconfig} get zhengyun -A
  kubectl --kubeconfig {kubeconfig} -n dept-{department} describe rr {name}

Approve it as head-finance (单位分管领导), and at its further stages as the people who may; then it is delivered:

  {script} approve {department} {name}

Later revoke it to zero (the demo's policy holds it frozen for 5 seconds instead of 7 days):

  {script} revoke {department} {name}

The same with curl: API {api}, token of head-finance in {head}
End everything: make demo-down
",
        kubeconfig = kubeconfig.display(),
        script = "tests/demo",
        api = stage.api_url(),
        head = head.display(),
    )
}

/// Approves the waiting request as the person who may, and waits until it is in service.
///
/// # Errors
/// The problem that came instead.
pub async fn approve(lab: PathBuf, department: &str, request: &str, out: &mut dyn FnMut(&str)) -> Result<()> {
    scenes::approve_waiting(&Stage::open(&lab)?, department, request, out).await
}

/// Revokes what came of a request, and waits until zero is proven.
///
/// # Errors
/// The problem that came instead.
pub async fn revoke(lab: PathBuf, department: &str, request: &str, out: &mut dyn FnMut(&str)) -> Result<()> {
    scenes::revoke_by_request(&Stage::open(&lab)?, department, request, out).await
}

/// Tells the story of disaster recovery on the lab in a folder.
///
/// # Errors
/// The first step that did not come out as told.
pub async fn recover(lab: PathBuf, out: &mut dyn FnMut(&str)) -> Result<()> {
    recovery::play(&Stage::open(&lab)?, out).await
}

/// Tells the story of two systems that leave a machine room, on the lab in a folder.
///
/// # Errors
/// The first step that did not come out as told.
pub async fn migrate(lab: PathBuf, sizes: Sizes, out: &mut dyn FnMut(&str)) -> Result<()> {
    migration::play(&Stage::open(&lab)?, sizes, out).await
}

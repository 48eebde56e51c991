//! Backup and restore by the worker: a namespace beside the bare requests that it takes at least, files beside restic, and a repository
//! in which one bit after the other is flipped.
//!
//! Everything that is restored is compared with what was there, object by object and file by file: a fast wrong copy is none.

mod files;
mod flips;
mod objects;
mod repository;

use std::sync::Arc;

use anyhow::Result;
use zhengyun_tests::figures::Gate;
use zhengyun_tests::lab::{Assets, ControlPlane, ControlPlaneOptions, Person};

use crate::outcome::{Outcome, short};
use crate::probe;
use crate::run::{Run, scaled};
use crate::tree::FILES;
use files::Tree;
use objects::{Measured, Set};

/// Objects of the sets; the gates are those of the middle one.
const SETS: [usize; 3] = [1_000, 10_000, 60_000];
const JUDGED: usize = 1;
/// Bits that are flipped, one at a time.
const FLIPS: usize = 1_000;
/// Who works at the cluster.
const PERSON: &str = "bench-recovery";

/// Runs all of it.
///
/// # Errors
/// When something did not come up, failed, or came back changed.
pub(crate) async fn run(run: &Run<'_>) -> Result<Outcome> {
    let sets = SETS.map(|full| scaled(full, run.scale, 40));
    let files = scaled(FILES, run.scale, 100);
    let title = format!("namespaces of {sets:?} objects, {files} files, {} flipped bits", scaled(FLIPS, run.scale, 20));
    let mut outcome = Outcome::new("backup", title, run.scale);
    run.say("a control plane");
    let folder = tempfile::Builder::new().prefix("zhengyun-bench-backup-").tempdir()?;
    let options =
        ControlPlaneOptions { people: vec![person()], unsafe_no_fsync: true, ..ControlPlaneOptions::default() };
    let plane = Arc::new(ControlPlane::start("site", &folder.path().join("site"), &Assets::find()?, options).await?);
    probe::install(&plane.client_admin()?).await?;
    let mut peaks = Vec::new();
    for (index, many) in sets.into_iter().enumerate() {
        let set = Set { plane: &plane, folder: folder.path(), many };
        let measured = set.measure(run).await?;
        peaks.push((many, measured.peak_mb()));
        if index == JUDGED {
            report_objects(&mut outcome, &measured);
        }
        outcome.note(measured.line());
    }
    let (least, most) = (peaks.first().map_or(0.0, |p| p.1), peaks.last().map_or(0.0, |p| p.1));
    outcome.figure(
        "peak memory, flat",
        most / least,
        "×",
        None,
        format!("of the largest set ({} MB) to the smallest ({} MB), backup and restore", short(most), short(least)),
    );
    plane.stop().await?;
    files::measure(&mut outcome, run, &Tree { root: folder.path().join("tree"), files, work: folder.path() })?;
    flips::measure(&mut outcome, run, folder.path(), scaled(FLIPS, run.scale, 20))?;
    Ok(outcome)
}

fn report_objects(outcome: &mut Outcome, m: &Measured) {
    let per_object = |requests: f64| requests / m.objects as f64;
    let at_most = |limit| Some(Gate::AtMost(limit));
    outcome.figure(
        "backup",
        m.backup.wall,
        "s",
        at_most(4.0),
        format!("{} objects into an empty repository", m.objects),
    );
    outcome.figure(
        "backup, CPU",
        m.backup.cpu,
        "s",
        at_most(4.0),
        format!("of the worker; API server {} s", short(m.backup.apiserver_cpu)),
    );
    outcome.figure("backup, peak memory", m.backup.peak_mb, "MB", at_most(150.0), "of the worker");
    outcome.figure("backup, stored", m.stored_mb, "MB", None, format!("of {} MB of objects", short(m.objects_mb)));
    outcome.figure(
        "unchanged, over LIST",
        m.unchanged.wall - m.list_seconds,
        "s",
        at_most(2.0),
        format!("the same again took {} s; a bare paged LIST {} s", short(m.unchanged.wall), short(m.list_seconds)),
    );
    outcome.figure(
        "restore, share of the floor",
        m.restore_rate() / m.create_rate * 100.0,
        "%",
        Some(Gate::AtLeast(60.0)),
        format!(
            "{} objects a second, from its start to its end, of {} bare creates a second by {} workers",
            short(m.restore_rate()),
            short(m.create_rate),
            objects::WORKERS
        ),
    );
    outcome.figure(
        "restore, requests",
        per_object(m.restore.requests),
        "an object",
        at_most(1.3),
        "answered by the API server",
    );
    outcome.figure(
        "restore, CPU",
        m.restore.cpu,
        "s",
        None,
        format!("of the worker; API server {} s", short(m.restore.apiserver_cpu)),
    );
    outcome.figure("restore, peak memory", m.restore.peak_mb, "MB", at_most(150.0), "of the worker");
    outcome.figure("verify", m.verify.wall, "s", None, "everything in the store read and its evidence computed again");
}

fn person() -> Person {
    Person {
        username: PERSON.to_owned(),
        groups: vec!["system:masters".to_owned()],
        role: "Benchmark".to_owned(),
        name_zh: "基准测试".to_owned(),
        name_en: "Benchmark".to_owned(),
    }
}

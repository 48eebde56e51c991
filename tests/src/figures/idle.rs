//! What the product costs while nothing happens.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::writes::{between, counted};
use super::{Figure, Gate};
use crate::demo::Stage;
use crate::lab::supervisor::State;
use crate::lab::wait::settled;

/// Longest wait until the story's last writes have passed.
const QUIET: Duration = Duration::from_mins(2);
/// No write for this long is quiet: longer than the ledger waits to tidy its journal and a quota to report.
const PAUSE: Duration = Duration::from_secs(10);

pub(super) async fn measure(folder: &Path, idle: Duration, say: &mut dyn FnMut(&str)) -> Result<Vec<Figure>> {
    let (stage, state) = (Stage::open(folder)?, State::of_running(folder)?);
    let clusters = ["hub", "site/hohhot", "site/ulanqab"];
    let look = || async {
        let mut all = BTreeMap::new();
        for cluster in clusters {
            let request = http::Request::get("/metrics").body(Vec::new())?;
            let text = stage.watcher(cluster).await?.request_text(request).await?;
            all.extend(counted(&text).into_iter().map(|(name, count)| (format!("{cluster}: {name}"), count)));
        }
        Ok::<_, anyhow::Error>(all)
    };
    let last = Mutex::new((look().await?, Instant::now()));
    settled("the story's last writes passed", QUIET, || async {
        let now = look().await?;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if now != last.0 {
            *last = (now, Instant::now());
        }
        Ok(if last.1.elapsed() >= PAUSE { Ok(()) } else { Err("something is written".to_owned()) })
    })
    .await?;
    say(&format!("nothing happens for {} s", idle.as_secs()));
    let process = |name: &str| {
        let record = state.processes.iter().find(|p| p.name == name);
        record.map(|p| p.id).with_context(|| format!("the lab runs no {name}"))
    };
    let components = [("operator", process("zhengyun-operator")?), ("api", process("zhengyun-api")?)];
    let before = look().await?;
    let begun = Instant::now();
    let mut spent = Vec::new();
    for (_, id) in &components {
        spent.push(id.cpu_time()?);
    }
    tokio::time::sleep(idle).await;
    let elapsed = begun.elapsed().as_secs_f64();
    let written = between(&before, &look().await?);
    let mut figures = Vec::new();
    for ((name, id), before) in components.iter().zip(spent) {
        let share = (id.cpu_time()?.saturating_sub(before)).as_secs_f64() / elapsed * 100.0;
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let rss = id.rss_bytes()? as f64 / 1e6;
        let (memory, cpu, limit) =
            if *name == "operator" { ("operator-rss", "operator-idle", 100.0) } else { ("api-rss", "api-idle", 80.0) };
        figures.push(Figure {
            name: memory,
            what: format!("resident memory of the {name} after the demo"),
            value: rss,
            unit: "MB",
            gate: Some(Gate::AtMost(limit)),
        });
        figures.push(Figure {
            name: cpu,
            what: format!("processor time of the {name} while nothing happens"),
            value: share,
            unit: "% of a core",
            gate: Some(Gate::AtMost(1.0)),
        });
    }
    let total: u64 = written.values().sum();
    let which: Vec<String> = written.iter().map(|(name, count)| format!("{name} × {count}")).collect();
    figures.push(Figure {
        name: "idle-writes",
        what: format!(
            "writes to hub and sites in {:.0} s without leases{}{}",
            elapsed,
            if which.is_empty() { "" } else { ": " },
            which.join(", ")
        ),
        #[expect(clippy::cast_precision_loss, reason = "some writes")]
        value: total as f64,
        unit: "writes",
        gate: Some(Gate::AtMost(0.0)),
    });
    Ok(figures)
}

//! The same shape of work by Kueue, on the same control plane binaries, in turns with the product.
//!
//! Kueue is taken as its own scheduler benchmark runs it: core controllers and scheduler (`minimalkueue`), and a runner that
//! creates workloads and says when each has ended. Nothing is delivered there: no pods, no namespaces per workload.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use zhengyun_tests::lab::process::{Launch, Process, log_tail};
use zhengyun_tests::lab::{Assets, ControlPlane, ControlPlaneOptions, install, wait};

use crate::ceilings;
use crate::life_cycle;
use crate::meter::{Meter, Spent};
use crate::outcome::{Outcome, short};
use crate::prometheus::samples;
use crate::run::{Run, scaled};
use crate::shape;
use crate::stage::Stage;

/// Where `peers/build` put the programs.
const PEERS: &str = "ZHENGYUN_BENCH_PEERS";
/// The flags that Kueue's runner gives the API server that it starts for itself.
const APISERVER: [&str; 2] = ["--max-requests-inflight=5000", "--max-mutating-requests-inflight=2500"];
/// The runner's own flags for a cluster that is there already.
const RUNNER: [&str; 2] = ["--qps=1000", "--burst=2000"];
const PATIENCE: Duration = Duration::from_mins(60);
const GATE: f64 = 2.5;
/// Kueue's runner ends when it sees nothing pending for a moment after the last creation; on a busy machine that may be early.
const ATTEMPTS: usize = 3;

/// Kueue with its own limit of requests, or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Throttle {
    Default,
    Lifted,
}

/// What one run of the peer gave.
#[derive(Debug)]
struct PeerRun {
    /// Workloads a second from the first event to the last, by the runner's own clock.
    rate: f64,
    spent: Spent,
}

/// Runs product, peer, peer, product; then the peer with its own limits.
///
/// # Errors
/// When something did not come up, or a workload or a life cycle did not end as it should.
pub async fn compare(run: &Run<'_>) -> Result<Outcome> {
    let folder =
        PathBuf::from(std::env::var_os(PEERS).with_context(|| format!("{PEERS} is not set; use make bench-peers"))?);
    let many = shape::total(run.scale);
    let title =
        format!("{many} workloads in the shape of Kueue's baseline: the product and Kueue 0.19.0 in turns (A B B A)");
    let mut outcome = Outcome::new("peers", title, run.scale);
    let mut ours = Vec::new();
    let mut granted = Vec::new();
    let mut theirs = Vec::new();
    for (turn, product) in [true, false, false, true].into_iter().enumerate() {
        run.say(&format!("turn {} of 4: {}", turn + 1, if product { "Zhengyun" } else { "Kueue, its limit lifted" }));
        if product {
            let mut stage = Stage::start(&["live"]).await?;
            if turn == 0 {
                let many = scaled(4_000, run.scale, 400);
                outcome.ceilings.push(ceilings::measure(&stage.admin()?, "raw", many, "hub").await?);
            }
            stage.start_operator(&[])?;
            let cycles = life_cycle::play(&stage, run).await?;
            granted.push(cycles.spent.items as f64 / cycles.granted.as_secs_f64());
            ours.push(cycles.spent);
        } else {
            theirs.push(peer(&folder, Throttle::Lifted, run).await?);
        }
    }
    run.say("Kueue with its own limit");
    let throttled = peer(&folder, Throttle::Default, run).await?;
    report(&mut outcome, &ours, &granted, &theirs, &throttled);
    outcome.spent.extend(ours);
    outcome.spent.extend(theirs.into_iter().map(|run| run.spent));
    outcome.spent.push(throttled.spent);
    Ok(outcome)
}

fn report(outcome: &mut Outcome, ours: &[Spent], granted: &[f64], theirs: &[PeerRun], throttled: &PeerRun) {
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let own = mean(ours.iter().map(Spent::rate).collect());
    let grants = mean(granted.to_vec());
    let kueue = mean(theirs.iter().map(|run| run.rate).collect());
    let turns = |values: Vec<f64>| values.into_iter().map(short).collect::<Vec<_>>().join(" and ");
    let gate = Some(zhengyun_tests::figures::Gate::AtLeast(GATE));
    outcome.figure(
        "life cycles, Zhengyun",
        own,
        "a second",
        None,
        format!("turns: {}", turns(ours.iter().map(Spent::rate).collect())),
    );
    outcome.figure(
        "grants, Zhengyun",
        grants,
        "a second",
        None,
        format!("turns: {}; the admission alone", turns(granted.to_vec())),
    );
    outcome.figure(
        "workloads, Kueue",
        kueue,
        "a second",
        None,
        format!("its limit lifted; turns: {}", turns(theirs.iter().map(|r| r.rate).collect())),
    );
    outcome.figure(
        "workloads, Kueue with its limit",
        throttled.rate,
        "a second",
        None,
        "50 requests a second and client, burst 100",
    );
    outcome.figure("ratio", own / kueue, "×", gate, "life cycles to workloads, Kueue's limit lifted");
    outcome.figure("ratio to Kueue with its limit", own / throttled.rate, "×", None, "life cycles to workloads");
    outcome.figure("ratio of admissions", grants / kueue, "×", None, "grants to workloads, Kueue's limit lifted");
    let cpu = |spent: &[&Spent], process: &str| mean(spent.iter().map(|s| s.cpu(process)).collect());
    let (own, other): (Vec<&Spent>, Vec<&Spent>) = (ours.iter().collect(), theirs.iter().map(|r| &r.spent).collect());
    for (name, process) in [("API server (hub)", "hub kube-apiserver"), ("etcd (hub)", "hub etcd")] {
        let (mine, its) = (cpu(&own, process), cpu(&other, process));
        outcome.figure(
            name,
            mine,
            "ms",
            None,
            format!("processor time per life cycle; Kueue {} ms per workload", short(its)),
        );
    }
    let (mine, its) = (cpu(&own, "operator"), cpu(&other, "kueue"));
    outcome.figure("operator CPU", mine, "ms", None, format!("per life cycle; Kueue {} ms per workload", short(its)));
    let peak = |spent: &[&Spent], process: &str| mean(spent.iter().map(|s| s.peak(process)).collect());
    let (mine, its) = (peak(&own, "operator"), peak(&other, "kueue"));
    outcome.figure("operator RSS", mine, "MB", None, format!("peak; Kueue {} MB", short(its)));
    outcome.note("Kueue's workload ends when its runner says so. A life cycle of the product ends when six objects at a site are gone and zero is proven there, on the same machine");
    outcome.note("Kueue queues what does not fit into 20 cores per queue; the product refuses instead, so its limits are wide enough");
}

async fn peer(folder: &Path, throttle: Throttle, run: &Run<'_>) -> Result<PeerRun> {
    for attempt in 1..=ATTEMPTS {
        if let Some(result) = one_peer_run(folder, throttle, run).await? {
            return Ok(result);
        }
        run.say(&format!("  attempt {attempt}: the runner took a pause of five seconds for the end; once more"));
    }
    bail!("the runner ended {ATTEMPTS} times before every workload had; a busy machine makes it do so")
}

/// One run on a fresh control plane; `None` when the runner ended before every workload had.
async fn one_peer_run(folder: &Path, throttle: Throttle, run: &Run<'_>) -> Result<Option<PeerRun>> {
    let work = tempfile::Builder::new().prefix("zhengyun-bench-peer-").tempdir()?;
    let options = ControlPlaneOptions {
        unsafe_no_fsync: true,
        apiserver_flags: APISERVER.map(str::to_owned).to_vec(),
        ..ControlPlaneOptions::default()
    };
    let plane = Arc::new(ControlPlane::start("hub", &work.path().join("hub"), &Assets::find()?, options).await?);
    install::apply(&plane.client_admin()?, install::read_folder(&folder.join("crds"))?).await?;
    let generator = work.path().join("generator.yaml");
    std::fs::write(&generator, shape::peer_configuration(run.scale))?;
    let launch = |name: &str, program: &str, args: Vec<String>| Launch {
        name: name.to_owned(),
        program: folder.join(program),
        args: args.into_iter().map(Into::into).collect(),
        env: Vec::new(),
        log: work.path().join(format!("{name}.log")),
    };
    let kubeconfig = format!("--kubeconfig={}", plane.admin_kubeconfig().display());
    let program = match throttle {
        Throttle::Default => "minimalkueue",
        Throttle::Lifted => "minimalkueue-unthrottled",
    };
    let kueue = Process::start(launch("kueue", program, vec![kubeconfig.clone()]))?;
    watches(&plane).await?;
    let meter = Meter::of_planes(std::slice::from_ref(&plane)).with_process("kueue", kueue.id());
    let mut flags = vec![kubeconfig, format!("-o={}", work.path().display())];
    flags.extend([format!("--generatorConfig={}", generator.display()), format!("--timeout={}s", PATIENCE.as_secs())]);
    flags.extend(RUNNER.map(str::to_owned));
    let begun = meter.look().await?;
    let runner = Process::start(launch("runner", "runner", flags))?;
    let summary = work.path().join("summary.yaml");
    wait::until_every("the runner's summary", PATIENCE, Duration::from_millis(50), || async {
        kueue.fail_if_ended()?;
        if summary.exists() {
            return Ok(Some(()));
        }
        Ok((!runner.is_running()).then_some(()))
    })
    .await?;
    // The runner tidies up after its summary; that is not part of the work.
    let ended = meter.look().await?;
    if !summary.exists() {
        bail!("the runner ended without a summary; end of its log:\n{}", log_tail(runner.log(), 15));
    }
    let states = work.path().join("wlStates.csv");
    wait::until("the runner's states", Duration::from_secs(30), || async { Ok(states.exists().then_some(())) }).await?;
    runner.wait_exit(Duration::from_mins(5)).await.ok();
    let many = shape::total(run.scale);
    if !all_finished(&states, many)? {
        return Ok(None);
    }
    let seconds = Summary::read(&summary)?.seconds()?;
    let what = match throttle {
        Throttle::Default => "Kueue with its limit of requests",
        Throttle::Lifted => "Kueue, its limit of requests lifted",
    };
    Ok(Some(PeerRun { rate: many as f64 / seconds, spent: begun.until(&ended, what, "workload", many as u64) }))
}

/// Waits until Kueue watches workloads: its runner gives up early when nothing happens for five seconds.
async fn watches(plane: &ControlPlane) -> Result<()> {
    wait::until_every("Kueue watches workloads", Duration::from_mins(2), Duration::from_millis(300), || async {
        let text = plane.metrics().await?;
        let mut open = samples(&text, "apiserver_longrunning_requests");
        Ok(open
            .any(|s| s.label("resource") == "workloads" && s.label("verb") == "WATCH" && s.whole() > 0)
            .then_some(()))
    })
    .await
}

/// The runner's summary, as far as it is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    cluster_queue_classes: std::collections::BTreeMap<String, QueueClass>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueueClass {
    first_event_time: String,
    last_event_time: String,
}

impl Summary {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        serde_saphyr::from_str(&text).with_context(|| format!("parse {}", path.display()))
    }

    /// From the first event of the queues to the last.
    fn seconds(&self) -> Result<f64> {
        let class = self.cluster_queue_classes.get("cq").context("the runner's queues")?;
        let time = |text: &str| text.parse::<jiff::Timestamp>().with_context(|| format!("the time {text}"));
        let seconds = time(&class.last_event_time)?.duration_since(time(&class.first_event_time)?).as_secs_f64();
        ensure!(seconds > 0.0, "the runner measured no time");
        Ok(seconds)
    }
}

/// Whether every workload ended, by the runner's own record.
fn all_finished(states: &Path, many: usize) -> Result<bool> {
    let mut finished = 0;
    for row in csv::Reader::from_path(states)?.into_deserialize::<std::collections::HashMap<String, String>>() {
        let took = row?.get("ms to finish").and_then(|ms| ms.parse::<i64>().ok()).unwrap_or_default();
        finished += usize::from(took > 0);
    }
    Ok(finished == many)
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn the_runners_own_clock_is_read() {
        let text = "clusterQueueClasses:\n  cq:\n    cpuUsed: 1\n    firstEventTime: \"2026-01-01T00:00:00.5Z\"\n    \
                    lastEventTime: \"2026-01-01T00:06:31+00:00\"\nworkloadClasses: {}\n";
        let summary: Summary = serde_saphyr::from_str(text).unwrap();
        assert!((summary.seconds().unwrap() - 390.5).abs() < 1e-6);
    }
}

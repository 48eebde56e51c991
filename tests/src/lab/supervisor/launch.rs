//! Starting and ending the supervisor from a terminal.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};

use super::{Phase, State};
use crate::lab::{component, proc::ProcessId, process::log_tail, wait};

/// Two sites beside a Rust build on two cores; without one it takes a tenth of that.
const UP_LIMIT: Duration = Duration::from_mins(5);
/// The operator and the API may take 20 s each, a control plane some seconds more.
const DOWN_LIMIT: Duration = Duration::from_mins(1);

/// What `up` is asked for.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The lab's folder.
    pub dir: PathBuf,
    /// The names of the sites.
    pub sites: Vec<String>,
    /// Further arguments of `zhengyun-lab supervise`.
    pub supervise: Vec<String>,
}

/// Brings the lab up, telling each step; a lab that runs already is left alone (`false`).
///
/// Interrupted (Ctrl-C, SIGTERM, or killed), it leaves nothing running.
pub async fn up(options: &UpOptions, mut tell: impl FnMut(&str)) -> Result<(State, bool)> {
    let UpOptions { dir, sites, supervise } = options;
    fs::create_dir_all(dir.join("logs")).with_context(|| format!("make {}", dir.display()))?;
    let dir = &dir.canonicalize()?;
    // Two at once: the second waits, and finds the first one's lab.
    let lock = File::create(dir.join("up.lock"))?;
    lock.lock().context("lock the lab's folder")?;
    if let Some(state) = live(dir).await? {
        if let Some(missing) = sites.iter().find(|site| !state.sites.contains(site)) {
            bail!(
                "a lab without site {missing} runs in {}. Fix: make lab-down, then start it with all sites",
                dir.display()
            );
        }
        return Ok((state, false));
    }
    let mut child = start_supervisor(dir, sites, supervise)?;
    let keep = child.stdin.take();
    let supervisor = ProcessId::of(child.id()).context("the supervisor ended at once")?;

    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let state = tokio::select! {
        ready = wait_ready(dir, &mut child, supervisor, &mut tell) => ready,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("told to end")),
    };
    match (state, keep) {
        (Ok(state), Some(mut keep)) => {
            keep.write_all(b"keep\n").context("tell the supervisor to stay")?;
            Ok((state, true))
        }
        (Ok(_), None) => bail!("the supervisor has no standard input"),
        (Err(error), keep) => {
            // Closing its input tells it the same as the signal.
            drop(keep);
            end(supervisor).await?;
            // It is our child: what is left of it is its exit status.
            let _ = child.wait();
            Err(error)
        }
    }
}

/// Ends the lab in `dir`; `false` when none ran. Only its own processes are touched.
pub async fn down(dir: &Path) -> Result<bool> {
    let Some(state) = State::read(dir)? else { return Ok(false) };
    let alive = state.alive();
    if alive.is_empty() {
        return Ok(false);
    }
    if let Some(supervisor) = state.supervisor() {
        end(supervisor).await?;
    }
    // The kernel ended them with the supervisor; whoever is slow to go is helped.
    for process in &alive {
        send(process.id, Signal::KILL)?;
    }
    wait::until("the lab's processes end", DOWN_LIMIT, || async { Ok(state.alive().is_empty().then_some(())) }).await?;
    Ok(true)
}

/// The running lab of this folder. One that was left half started is on its way out: its end is awaited.
async fn live(dir: &Path) -> Result<Option<State>> {
    let Some(state) = State::read(dir)? else { return Ok(None) };
    let Some(supervisor) = state.supervisor() else { return Ok(None) };
    if state.phase == Phase::Ready {
        return Ok(Some(state));
    }
    end(supervisor).await?;
    Ok(None)
}

fn start_supervisor(dir: &Path, sites: &[String], further: &[String]) -> Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(dir.join("logs/supervisor.log"))?;
    // What an earlier supervisor wrote would be mistaken for this one's.
    let _ = fs::remove_file(dir.join("state.json"));
    std::process::Command::new("setsid")
        .arg(component::binary("zhengyun-lab")?)
        .arg("--dir")
        .arg(dir)
        .args(["supervise", "--sites", &sites.join(",")])
        .args(further)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("start the supervisor through setsid (util-linux)")
}

async fn wait_ready(
    dir: &Path,
    child: &mut Child,
    supervisor: ProcessId,
    tell: &mut impl FnMut(&str),
) -> Result<State> {
    let mut told = 0;
    let log = dir.join("logs/supervisor.log");
    let every = Duration::from_millis(100);
    wait::until_every("the lab is up", UP_LIMIT, every, || {
        let looked = look(dir, child, supervisor).map(|(state, ended)| {
            let steps = state.as_ref().filter(|state| state.phase != Phase::Failed).map(|state| state.steps.as_slice());
            let steps = steps.unwrap_or_default();
            steps.iter().skip(told).for_each(|step| tell(step));
            told = told.max(steps.len());
            match (state, ended) {
                (Some(state), _) if state.phase == Phase::Ready => Some(Ok(state)),
                (Some(state), Some(_)) if state.phase == Phase::Failed => {
                    Some(Err(state.steps.last().cloned().unwrap_or_default()))
                }
                (_, Some(status)) => Some(Err(format!("the supervisor ended ({status}):\n{}", log_tail(&log, 15)))),
                (_, None) => None,
            }
        });
        std::future::ready(looked)
    })
    .await?
    .map_err(|why| anyhow::anyhow!("the lab did not start: {why}\n(log: {})", log.display()))
}

/// What this supervisor wrote down, and how it ended, if it did.
fn look(dir: &Path, child: &mut Child, supervisor: ProcessId) -> Result<(Option<State>, Option<ExitStatus>)> {
    // In this order: what an ended process wrote is complete.
    let ended = child.try_wait()?;
    let state = State::read(dir)?.filter(|state| state.processes.first().is_some_and(|first| first.id == supervisor));
    Ok((state, ended))
}

/// Asks the supervisor to end, and kills it if it does not; its children go with it.
async fn end(supervisor: ProcessId) -> Result<()> {
    send(supervisor, Signal::TERM)?;
    let gone = || async { Ok((!supervisor.is_alive()).then_some(())) };
    if wait::until("the supervisor ends", DOWN_LIMIT, gone).await.is_ok() {
        return Ok(());
    }
    send(supervisor, Signal::KILL)?;
    wait::until("the killed supervisor is gone", Duration::from_secs(10), gone).await
}

fn send(process: ProcessId, signal: Signal) -> Result<()> {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    match pid {
        Some(pid) if process.is_alive() => match rustix::process::kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).context("signal a process of the lab"),
        },
        _ => Ok(()),
    }
}

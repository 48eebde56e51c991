//! The lab on this machine: a real hub and real sites on loopback, kept by one supervisor.

use std::{
    fmt::Display,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use comfy_table::{CellAlignment, Table, presets};
use zhengyun_tests::lab::{
    Assets, LabOptions, client, project_root,
    supervisor::{self, Command, State, UpOptions},
};

/// The client library reports every answer of a server that is just starting or stopped on purpose.
const LOG_FILTER: &str = "info,kube_client=off";

#[derive(Debug, Parser)]
#[command(about, version)]
struct Args {
    /// The lab's folder.
    #[arg(long, global = true, env = "ZHENGYUN_LAB_DIR", default_value_os_t = project_root().join(".lab"))]
    dir: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start hub, sites, operator and API; on a running lab only say where things are.
    Up(Lab),
    /// End every process of the lab.
    Down {
        /// Remove the lab's data too, so that the next start is a fresh one.
        #[arg(long)]
        delete: bool,
    },
    /// Show the lab's processes; the last line counts them.
    Status,
    /// End a site's control plane; the site's data stay.
    StopSite {
        /// The site's name.
        site: String,
    },
    /// Start a stopped site on its old ports and data.
    StartSite {
        /// The site's name.
        site: String,
    },
    /// End and start a site.
    RestartSite {
        /// The site's name.
        site: String,
    },
    /// Kill the operator with -9; the supervisor starts it again.
    KillOperator,
    /// Renew every ServiceAccount token of the product now.
    RenewCredentials,
    /// Print the path of a kubeconfig: the hub administrator's, or another's.
    Kubeconfig {
        /// A user of the hub, such as clerk-emergency.
        #[arg(long, conflicts_with = "site")]
        person: Option<String>,
        /// The administrator of a site.
        #[arg(long)]
        site: Option<String>,
    },
    /// What the detached supervisor runs.
    #[command(hide = true)]
    Supervise(Lab),
}

#[derive(Debug, clap::Args)]
struct Lab {
    /// Names of the sites, separated by commas or blanks.
    #[arg(long, env = "SITES", default_value = "hohhot,ulanqab")]
    sites: String,
    /// Leave the product out: only the clusters, their schemas and the simulated provisioner.
    #[arg(long)]
    bare: bool,
    /// How many minutes the product's tokens live (10 at least); they are renewed at half of that.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..))]
    token_minutes: u64,
    /// The clusters write who did what to audit.log.
    #[arg(long)]
    audit: bool,
    /// Flush every write to disk, as a production etcd does.
    #[arg(long)]
    fsync: bool,
}

impl Lab {
    fn site_names(&self) -> Result<Vec<String>> {
        let names: Vec<String> =
            self.sites.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        for (index, name) in names.iter().enumerate() {
            let letters = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if !letters || name.len() > 50 || name.starts_with('-') || name.ends_with('-') || name == "hub" {
                bail!(
                    "--sites: {name} is no site name. Fix: lower-case letters, digits and hyphens, at most 50, and not \"hub\""
                );
            }
            if names.iter().take(index).any(|earlier| earlier == name) {
                bail!("--sites: {name} is named twice. Fix: name each site once");
            }
        }
        Ok(names)
    }

    /// The same choices for the supervisor's command line.
    fn flags(&self) -> Vec<String> {
        let mut flags = vec![format!("--token-minutes={}", self.token_minutes)];
        let switches = [("--bare", self.bare), ("--audit", self.audit), ("--fsync", self.fsync)];
        flags.extend(switches.into_iter().filter(|(_, on)| *on).map(|(flag, _)| flag.to_owned()));
        flags
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    client::install_crypto_provider();
    let args = Args::parse();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zhengyun-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a line for people and scripts. One who has stopped reading (`| head`) is no reason to end half-way.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

async fn run(Args { dir, action }: Args) -> Result<()> {
    match action {
        Action::Up(lab) => up(dir, &lab).await,
        Action::Down { delete } => down(&dir, delete).await,
        Action::Status => status(&dir),
        Action::StopSite { site } => ask(&dir, Command::StopSite(site)).await,
        Action::StartSite { site } => ask(&dir, Command::StartSite(site)).await,
        Action::RestartSite { site } => ask(&dir, Command::RestartSite(site)).await,
        Action::KillOperator => ask(&dir, Command::KillOperator).await,
        Action::RenewCredentials => ask(&dir, Command::RenewCredentials).await,
        Action::Kubeconfig { person, site } => {
            let state = State::of_running(&dir)?;
            let usage = match (person, site) {
                (Some(person), _) => format!("person/{person}"),
                (None, Some(site)) => format!("site/{site}"),
                (None, None) => "hub".to_owned(),
            };
            say(state.kubeconfig(&usage)?.display());
            Ok(())
        }
        Action::Supervise(lab) => supervise(dir, &lab).await,
    }
}

async fn up(dir: PathBuf, lab: &Lab) -> Result<()> {
    let options = UpOptions { dir, sites: lab.site_names()?, supervise: lab.flags() };
    let preflight = project_root().join("tests/lab/preflight");
    let checked = std::process::Command::new(&preflight).arg("--quiet").status();
    if !checked.with_context(|| format!("run {}", preflight.display()))?.success() {
        bail!("this machine cannot run the lab yet; the fixes are above");
    }
    let (state, new) = supervisor::up(&options, |step| say(format_args!("  {step}"))).await?;
    say(if new { "The lab is up." } else { "The lab is up already; nothing was done." });
    let kubectl = Assets::find()?.kubectl;
    say(format_args!(
        "  hub:  {} --kubeconfig {} get namespaces",
        kubectl.display(),
        state.kubeconfig("hub")?.display()
    ));
    for site in &state.sites {
        say(format_args!(
            "  site: {} --kubeconfig {} get namespaces",
            kubectl.display(),
            state.kubeconfig(&format!("site/{site}"))?.display()
        ));
    }
    if let Some(url) = state.urls.get("api") {
        say(format_args!("  API:  {url}/api/v1"));
    }
    say("  What the sites provision is simulated: databases, buckets and volumes have status but no content.");
    Ok(())
}

async fn down(dir: &Path, delete: bool) -> Result<()> {
    let ended = supervisor::down(dir).await?;
    say(if ended { "The lab is down." } else { "No lab runs here." });
    if delete && dir.join("state.json").exists() {
        std::fs::remove_dir_all(dir)?;
        say("Its data are removed.");
    } else if ended {
        say("Its data stay for the next start (down --delete removes them).");
    }
    Ok(())
}

fn status(dir: &Path) -> Result<()> {
    let state = State::read(dir)?;
    let alive = state.as_ref().map(State::alive).unwrap_or_default();
    if !alive.is_empty() {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(["process", "pid", "memory MB", "CPU s"]);
        for process in &alive {
            let memory = process.id.rss_bytes().unwrap_or_default() / 1_000_000;
            let cpu = process.id.cpu_time().unwrap_or_default();
            table.add_row([
                process.name.clone(),
                process.id.pid.to_string(),
                memory.to_string(),
                format!("{:.1}", cpu.as_secs_f32()),
            ]);
        }
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        say(table);
    }
    say(format_args!("{} processes", alive.len()));
    Ok(())
}

async fn ask(dir: &Path, command: Command) -> Result<()> {
    say(supervisor::request(dir, &command).await?);
    Ok(())
}

async fn supervise(dir: PathBuf, lab: &Lab) -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| LOG_FILTER.into()))
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let mut options = LabOptions::new(&[])?;
    options.sites = lab.site_names()?;
    options.dir = Some(dir);
    options.product = !lab.bare;
    options.token_lifetime = Duration::from_secs(lab.token_minutes * 60);
    options.audit = lab.audit;
    options.unsafe_no_fsync = !lab.fsync;
    supervisor::supervise(options).await
}

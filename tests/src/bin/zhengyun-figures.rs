//! Measures what README and docs state in numbers; prints a table and saves it as JSON.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use zhengyun_tests::figures::{self, Figure, Plan};
use zhengyun_tests::lab::client;

/// The figures of the product on this machine. Takes about ten minutes; nothing else should run meanwhile.
///
/// Exits 0 when everything was measured, whatever the figures are: the table says which of them hold.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where the figures are saved.
    #[arg(long, default_value = "target/figures.json")]
    out: PathBuf,
    /// Seconds during which nothing happens.
    #[arg(long, default_value_t = 300)]
    idle_seconds: u64,
    /// Requests whose last approvals are sent at once.
    #[arg(long, default_value_t = 50)]
    in_flight: usize,
    /// Requests of each of the twenty clients.
    #[arg(long, default_value_t = 500)]
    each: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    client::install_crypto_provider();
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zhengyun-figures: {error:#}");
            ExitCode::from(1)
        }
    }
}

#[expect(clippy::print_stdout, reason = "this program prints a table")]
async fn run(args: &Args) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let plan = Plan { idle: Duration::from_secs(args.idle_seconds), in_flight: args.in_flight, each: args.each };
    let figures: Vec<Figure> = figures::measure(folder.path(), plan, &mut |line| eprintln!("{line}")).await?;
    println!("{}", figures::table(&figures));
    if let Some(parent) = args.out.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let text = serde_json::to_string_pretty(&figures)?;
    std::fs::write(&args.out, text + "\n").with_context(|| format!("write {}", args.out.display()))?;
    println!("saved in {}", args.out.display());
    Ok(())
}

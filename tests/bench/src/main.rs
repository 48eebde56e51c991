//! Runs benchmarks, prints what they found and saves it as JSON.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use zhengyun_bench::run::Run;
use zhengyun_bench::{BACKUP, BENCHMARKS, Benchmark, MIGRATION, PEERS, measure};
use zhengyun_tests::lab::client;

/// Benchmarks on real control planes. Nothing else should run on the machine meanwhile.
///
/// Exits 0 when everything was measured and every result was right, whatever the figures are: the tables say which gates hold.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Which: B1 to B7, `backup`, `migration`, or `peers`; B1 to B7 when none is named.
    benchmarks: Vec<String>,
    /// Share of the full size; below 1 no gate is judged. Each benchmark has its own unless given.
    #[arg(long)]
    scale: Option<f64>,
    /// Folder for the results.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Exit 1 when a judged gate does not hold.
    #[arg(long)]
    strict: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    client::install_crypto_provider();
    match run(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("zhengyun-bench: {error:#}");
            ExitCode::from(1)
        }
    }
}

#[expect(clippy::print_stdout, reason = "this program prints tables")]
async fn run(args: &Args) -> Result<bool> {
    let begun = Instant::now();
    let mut missed = Vec::new();
    for benchmark in chosen(&args.benchmarks)? {
        let scale = args.scale.unwrap_or(benchmark.usual_scale);
        if !(scale > 0.0 && scale <= 1.0) {
            bail!("--scale: {scale} is no share of the full size; choose one above 0 and up to 1");
        }
        let started = Instant::now();
        let say = |line: &str| eprintln!("[{:>6.1} s] {line}", begun.elapsed().as_secs_f32());
        say(&format!("{}: {} (scale {scale})", benchmark.id, benchmark.what));
        let outcome = measure(benchmark, &Run::new(scale, &say)).await?;
        outcome.save(&args.out)?;
        println!("\n{}\n- {:.0} s in all", outcome.text(), started.elapsed().as_secs_f64());
        missed.extend(outcome.missed().into_iter().map(|name| format!("{} {name}", benchmark.id)));
    }
    println!("\nsaved in {}", args.out.display());
    if !missed.is_empty() {
        println!("gates that do not hold: {}", missed.join(", "));
    }
    Ok(!args.strict || missed.is_empty())
}

fn chosen(names: &[String]) -> Result<Vec<Benchmark>> {
    if names.is_empty() {
        return Ok(BENCHMARKS.to_vec());
    }
    names
        .iter()
        .map(|name| {
            let named =
                BENCHMARKS.iter().chain([&BACKUP, &MIGRATION, &PEERS]).find(|b| b.id.eq_ignore_ascii_case(name));
            let all = BENCHMARKS.map(|b| b.id).join(", ");
            named
                .copied()
                .with_context(|| format!("{name} is no benchmark; there are {all}, backup, migration and peers"))
        })
        .collect()
}

//! `zhengyun-prove`: plays the campaigns of the simulation, or one plan.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use comfy_table::{Table, presets};
use zhengyun_domain::seeded::{self, Bug};
use zhengyun_tests::sim::base::Base;
use zhengyun_tests::sim::campaign::{self, Class, Options, Outcome};
use zhengyun_tests::sim::mutants;
use zhengyun_tests::sim::plan::Plan;
use zhengyun_tests::sim::run::run;
use zhengyun_tests::sim::workload::{self, Ends};

/// A simulation allocates more than it does anything else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plays workloads on the simulated world under every fault of the chosen classes, and says what should not be.
///
/// Exit codes: 0 nothing went wrong, 1 something did, 2 usage.
#[derive(Debug, Parser)]
#[command(name = "zhengyun-prove", version)]
struct Args {
    /// Play this plan alone, such as `revoke@1+crash:12:After`, and tell every write.
    #[arg(long)]
    replay: Option<Plan>,
    /// Hunt seeded bugs, all unless some are named, and tell what catches each.
    #[arg(long, num_args = 0.., value_name = "NAME", conflicts_with = "replay")]
    mutants: Option<Vec<Bug>>,
    /// Replay with this seeded bug.
    #[arg(long, value_name = "NAME", requires = "replay")]
    mutant: Option<Bug>,
    /// Plans that are played at most for one seeded bug.
    #[arg(long, default_value_t = 4000)]
    plans: usize,
    /// Classes of plans; all unless given.
    #[arg(long, value_enum)]
    class: Vec<ClassName>,
    /// Workloads; all unless given.
    #[arg(long)]
    workload: Vec<String>,
    /// Seed of the pauses between requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only every n-th plan.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Pairs of crashes drawn for each workload.
    #[arg(long, default_value_t = 200)]
    pairs: u64,
    /// Threads; as many as there are processors unless given.
    #[arg(long)]
    threads: Option<usize>,
    /// Minutes after which no further plan is begun.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Failing plans that are told in full.
    #[arg(long, default_value_t = 20)]
    tell: usize,
}

/// Classes by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ClassName {
    /// Nothing goes wrong.
    Calm,
    /// The operator ends.
    Crash,
    /// A call fails.
    Call,
    /// A watch fails.
    Watch,
    /// Two operators at the same time.
    Pause,
    /// The ways to sites are cut.
    Cut,
    /// Clocks go wrong.
    Clock,
    /// The operator ends twice.
    Pair,
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Calm => Self::Calm,
            ClassName::Crash => Self::Crash,
            ClassName::Call => Self::Call,
            ClassName::Watch => Self::Watch,
            ClassName::Pause => Self::Pause,
            ClassName::Cut => Self::Cut,
            ClassName::Clock => Self::Clock,
            ClassName::Pair => Self::Pair,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Ok(filter) = std::env::var("ZHENGYUN_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).init();
    }
    let outcome = match (&args.replay, &args.mutants) {
        (Some(plan), _) => replay(plan, args.mutant),
        (None, Some(bugs)) => hunt(&args, bugs),
        (None, None) => prove(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("zhengyun-prove: {error:#}");
            ExitCode::from(1)
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is the program's answer")]
fn replay(plan: &Plan, mutant: Option<Bug>) -> Result<bool> {
    let base = Base::establish()?;
    let calm = run(&base, &Plan::calm(&plan.workload, plan.seed))?;
    if mutant.is_some() && !seeded::seed(mutant) {
        bail!(
            "--mutant: this program was built without seeded bugs; use `tests/prove-mutants --replay PLAN --mutant NAME`"
        );
    }
    let report = run(&base, plan)?;
    for (index, commit) in report.journal.iter().enumerate() {
        println!("{index:4} {} {:12} {:?} {} {}", commit.at, commit.agent, commit.verb, commit.cluster, commit.key);
    }
    for violation in &report.violations {
        println!("{violation}");
    }
    let ends = workload::named(&plan.workload).map_or(Ends::Exactly, |w| w.ends);
    let differs = report.end.differs_from(&calm.end, ends);
    for line in &differs {
        println!("End: {line}");
    }
    Ok(report.violations.is_empty() && differs.is_empty())
}

#[expect(clippy::print_stdout, reason = "this is the program's answer")]
fn hunt(args: &Args, bugs: &[Bug]) -> Result<bool> {
    let options = mutants::Options {
        bugs: if bugs.is_empty() { Bug::ALL.to_vec() } else { bugs.to_vec() },
        seed: args.seed,
        plans: args.plans,
        threads: threads(args)?,
    };
    let outcome = mutants::hunt(&options, &|line| eprintln!("{line}"))?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["seeded bug", "caught by", "first plan", "plans", "s"]);
    for hunt in &outcome.hunts {
        let (by, plan) = match &hunt.caught {
            Some(failure) => (hunt.by().join(", "), failure.plan.to_string()),
            None => ("nothing: it SURVIVES".to_owned(), String::new()),
        };
        let took = format!("{:.1}", hunt.took.as_secs_f64());
        table.add_row([hunt.bug.to_string(), by, plan, hunt.played.to_string(), took]);
    }
    println!("{table}");
    for hunt in &outcome.hunts {
        let line = hunt.caught.as_ref().and_then(|failure| failure.lines.first());
        println!("{}: {}", hunt.bug, hunt.bug.about());
        println!("  {}", line.map_or("", String::as_str).chars().take(300).collect::<String>());
    }
    let survivors = outcome.hunts.iter().filter(|hunt| hunt.caught.is_none()).count();
    println!(
        "{} seeded bugs, {survivors} survive; {} plans without a bug, {} false alarms",
        outcome.hunts.len(),
        outcome.control,
        outcome.alarms.len()
    );
    for failure in outcome.alarms.iter().take(args.tell) {
        println!("  make prove REPLAY='{}'", failure.plan);
        for line in failure.lines.iter().take(4) {
            println!("    {}", line.chars().take(600).collect::<String>());
        }
    }
    Ok(survivors == 0 && outcome.alarms.is_empty())
}

fn threads(args: &Args) -> Result<usize> {
    match args.threads {
        Some(0) => bail!("--threads 0: at least one is needed"),
        Some(threads) => Ok(threads),
        None => Ok(Options::default().threads),
    }
}

fn prove(args: &Args) -> Result<bool> {
    let mut options = Options {
        workloads: args.workload.clone(),
        seed: args.seed,
        every: usize::try_from(args.every)?,
        pairs: args.pairs,
        threads: threads(args)?,
        limit: Duration::from_secs(args.minutes.saturating_mul(60)),
        ..Options::default()
    };
    if !args.class.is_empty() {
        options.classes = args.class.iter().copied().map(Class::from).collect();
    }
    let outcome = campaign::play(&options, &|line| eprintln!("{line}"))?;
    tell(&outcome, args.tell);
    Ok(outcome.failures.is_empty())
}

#[expect(clippy::print_stdout, reason = "this is the program's answer")]
fn tell(outcome: &Outcome, most: usize) {
    println!("What there is to play:");
    for line in &outcome.sums {
        println!("  {line}");
    }
    println!("What was played:");
    for class in Class::ALL {
        let of = outcome.plans.iter().filter(|((c, _), _)| *c == class);
        let (all, played) = of.fold((0, 0), |(a, p), (_, (all, played))| (a + all, p + played));
        println!("  {class:?}: {played} of {all} plans");
    }
    println!(
        "{} plans in {:.0} s, median {:.1} ms, slowest {:.0} ms; {} violations",
        outcome.played(),
        outcome.took.as_secs_f64(),
        outcome.median().as_secs_f64() * 1e3,
        outcome.times.last().copied().unwrap_or_default().as_secs_f64() * 1e3,
        outcome.failures.len()
    );
    for failure in outcome.failures.iter().take(most) {
        println!("  make prove REPLAY='{}'", failure.plan);
        for line in failure.lines.iter().take(4) {
            println!("    {}", line.chars().take(600).collect::<String>());
        }
    }
    if outcome.failures.len() > most {
        println!("  and {} more", outcome.failures.len() - most);
    }
}

//! Plays the story of the demo on a running lab.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use zhengyun_tests::demo;
use zhengyun_tests::lab::{client, project_root};

/// The demo: request, review, grant at a site, revocation to zero, on real data.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The lab's folder.
    #[arg(long, env = "ZHENGYUN_LAB_DIR", default_value_os_t = project_root().join(".lab"))]
    dir: PathBuf,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Plays the story (the default).
    Play,
    /// Plays the story of disaster recovery: protected at two sites, drilled, lost, restored elsewhere, compared.
    Recovery,
    /// Approves the request that was left waiting, each stage as the person who may.
    Approve {
        /// Department, such as finance.
        department: String,
        /// Request.
        request: String,
    },
    /// Revokes what came of a request, to zero.
    Revoke {
        /// Department, such as finance.
        department: String,
        /// Request.
        request: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    client::install_crypto_provider();
    let args = Args::parse();
    #[expect(clippy::print_stdout, reason = "this program tells a story")]
    let mut out = |line: &str| println!("{line}");
    let ended = match args.action.unwrap_or(Action::Play) {
        Action::Play => demo::play(args.dir, &mut out).await,
        Action::Recovery => demo::recover(args.dir, &mut out).await,
        Action::Approve { department, request } => demo::approve(args.dir, &department, &request, &mut out).await,
        Action::Revoke { department, request } => demo::revoke(args.dir, &department, &request, &mut out).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zhengyun-demo: {error:#}");
            ExitCode::from(1)
        }
    }
}

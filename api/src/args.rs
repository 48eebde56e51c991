//! Arguments: every flag is also an environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum, value_parser};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// The REST API of Zhengyun: departments, quotas, sites, catalogue, systems, requests and grants.
///
/// Reads are served from watch caches and filtered by the caller's rights; writes go to the hub with the caller's own
/// bearer token. The API speaks plain HTTP and belongs behind an ingress that ends TLS.
///
/// Exit codes: 0 done, 1 failure at run time, 2 wrong usage.
#[derive(Clone, Debug, Parser)]
#[command(name = "zhengyun-api", version, max_term_width = 120)]
pub struct Args {
    /// Kubeconfig for the hub (server, CA and the API's own token or tokenFile). Without it, the pod's ServiceAccount is used.
    #[arg(long, env = "ZHENGYUN_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Address of the API.
    #[arg(long, env = "ZHENGYUN_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "ZHENGYUN_METRICS_LISTEN", value_name = "IP:PORT", default_value = "127.0.0.1:8081")]
    pub metrics_listen: SocketAddr,

    /// How log lines are written.
    #[arg(long, env = "ZHENGYUN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Which log lines are written: a level, or directives such as `info,zhengyun_api=debug`.
    #[arg(long, env = "ZHENGYUN_LOG", value_name = "FILTER", default_value = "info", value_parser = filter)]
    pub log: String,

    /// Seconds for which the answer of a TokenReview is trusted; a revoked token works this much longer. 0 asks every time.
    #[arg(long, env = "ZHENGYUN_TOKEN_CACHE_SECONDS", value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(0..=300))]
    pub token_cache_seconds: u64,

    /// Tokens whose review is remembered at once; the least used are forgotten first.
    #[arg(long, env = "ZHENGYUN_TOKEN_CACHE_SIZE", value_name = "COUNT", default_value_t = 4096, value_parser = value_parser!(u64).range(1..=1_000_000))]
    pub token_cache_size: u64,

    /// Seconds for which the answer of a SubjectAccessReview is trusted; a changed role shows this much later. 0 asks every time.
    #[arg(long, env = "ZHENGYUN_ACCESS_CACHE_SECONDS", value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(0..=300))]
    pub access_cache_seconds: u64,

    /// Access answers that are remembered at once.
    #[arg(long, env = "ZHENGYUN_ACCESS_CACHE_SIZE", value_name = "COUNT", default_value_t = 32_768, value_parser = value_parser!(u64).range(1..=10_000_000))]
    pub access_cache_size: u64,

    /// Requests that are served at once; more are refused with 503 rather than queued.
    #[arg(long, env = "ZHENGYUN_MAX_CONCURRENT_REQUESTS", value_name = "COUNT", default_value_t = 256, value_parser = value_parser!(u32).range(1..=65_536))]
    pub max_concurrent_requests: u32,

    /// Seconds after which a request is answered with 504.
    #[arg(long, env = "ZHENGYUN_REQUEST_TIMEOUT_SECONDS", value_name = "SECONDS", default_value_t = 30, value_parser = value_parser!(u64).range(1..=300))]
    pub request_timeout_seconds: u64,

    /// Seconds after which a call to the hub is given up.
    #[arg(long, env = "ZHENGYUN_HUB_TIMEOUT_SECONDS", value_name = "SECONDS", default_value_t = 10, value_parser = value_parser!(u64).range(1..=300))]
    pub hub_timeout_seconds: u64,

    /// Largest request body in bytes.
    #[arg(long, env = "ZHENGYUN_MAX_BODY_BYTES", value_name = "BYTES", default_value_t = 1_048_576, value_parser = value_parser!(u32).range(1024..=16_777_216))]
    pub max_body_bytes: u32,

    /// Largest sum of header names and values of a request in bytes.
    #[arg(long, env = "ZHENGYUN_MAX_HEADER_BYTES", value_name = "BYTES", default_value_t = 16_384, value_parser = value_parser!(u32).range(1024..=262_144))]
    pub max_header_bytes: u32,

    /// Seconds that requests under way are given to finish after SIGTERM.
    #[arg(long, env = "ZHENGYUN_DRAIN_SECONDS", value_name = "SECONDS", default_value_t = 18, value_parser = value_parser!(u64).range(0..=300))]
    pub drain_seconds: u64,
}

/// Refuses a log filter that would silently log nothing.
fn filter(text: &str) -> Result<String, String> {
    tracing_subscriber::EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| {
        format!(
            "{error}; write a level (error, warn, info, debug, trace) or directives such as info,zhengyun_api=debug"
        )
    })
}

impl Args {
    /// Time for which a TokenReview is trusted.
    pub const fn token_cache_ttl(&self) -> Duration {
        Duration::from_secs(self.token_cache_seconds)
    }

    /// Time for which a SubjectAccessReview is trusted.
    pub const fn access_cache_ttl(&self) -> Duration {
        Duration::from_secs(self.access_cache_seconds)
    }

    /// Time after which a request is answered with 504.
    pub const fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }

    /// Time after which a call to the hub is given up.
    pub const fn hub_timeout(&self) -> Duration {
        Duration::from_secs(self.hub_timeout_seconds)
    }

    /// Time that requests under way are given to finish.
    pub const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Args;

    #[test]
    fn every_flag_is_an_environment_variable_with_help() {
        let command = Args::command();
        command.clone().debug_assert();
        for argument in command.get_arguments().filter(|a| !["help", "version"].contains(&a.get_id().as_str())) {
            let flag = argument.get_long().unwrap();
            let variable = argument.get_env().unwrap_or_else(|| panic!("--{flag} has no environment variable"));
            assert!(variable.to_str().unwrap().starts_with("ZHENGYUN_"), "--{flag}");
            assert!(argument.get_help().is_some(), "--{flag} has no help");
        }
    }

    #[test]
    fn starts_without_any_flag() {
        let args = Args::parse_from(["zhengyun-api"]);
        assert!(args.listen.ip().is_loopback());
        assert_eq!(args.max_body_bytes, 1024 * 1024);
    }

    #[test]
    fn a_wrong_value_names_the_flag() {
        let error = Args::try_parse_from(["zhengyun-api", "--listen", "localhost"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--listen"), "{error}");
    }
}

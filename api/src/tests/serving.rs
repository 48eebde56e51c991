//! Starting, being ready, and stopping without losing what was begun.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::hub::Hub;
use crate::server::Server;
use crate::testing::{FakeHub, client};

struct Running {
    hub: Arc<FakeHub>,
    api: SocketAddr,
    metrics: SocketAddr,
    stop: CancellationToken,
    done: JoinHandle<()>,
}

async fn start(drain: &str) -> Running {
    let hub = Arc::new(FakeHub::with(vec![]));
    let flags =
        ["zhengyun-api", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--drain-seconds", drain];
    let args = Args::parse_from(flags);
    let stop = CancellationToken::new();
    let connections = Hub::from_clients(client(&hub), client(&hub), Duration::from_secs(20));
    let server = Server::bind(&args, connections, &stop).await.unwrap();
    let (api, metrics) = (server.address().unwrap(), server.metrics_address().unwrap());
    tokio::time::timeout(Duration::from_secs(5), server.state().ready()).await.unwrap();
    let done = tokio::spawn(server.serve(stop.clone()));
    Running { hub, api, metrics, stop, done }
}

async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer token-zhang\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn until(what: impl AsyncFn() -> bool) {
    let tried = async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), tried).await.unwrap();
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_the_stop() {
    let Running { hub, api, metrics, stop, done } = start("10").await;
    assert!(get(metrics, "/healthz").await.unwrap().contains("200 OK"));
    assert!(get(metrics, "/readyz").await.unwrap().contains("200 OK"));
    let gate = Arc::new(Notify::new());
    *hub.gate.lock().unwrap() = Some(Arc::clone(&gate));
    let begun = tokio::spawn(get(api, "/api/v1/departments"));
    until(async || get(metrics, "/metrics").await.unwrap().contains("zhengyun_api_http_requests_in_flight 1")).await;

    stop.cancel();
    until(async || get(api, "/api/v1/departments").await.is_err()).await;
    assert!(get(metrics, "/readyz").await.unwrap().contains("stopping"));
    gate.notify_one();
    let answer = begun.await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"finance\""), "{answer}");
    tokio::time::timeout(Duration::from_secs(5), done).await.unwrap().unwrap();
    assert!(get(metrics, "/healthz").await.is_err());
}

#[tokio::test]
async fn the_stop_does_not_wait_for_ever() {
    let Running { hub, api, metrics, stop, done } = start("1").await;
    *hub.gate.lock().unwrap() = Some(Arc::new(Notify::new()));
    let begun = tokio::spawn(get(api, "/api/v1/departments"));
    until(async || get(metrics, "/metrics").await.unwrap().contains("zhengyun_api_http_requests_in_flight 1")).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), done).await.unwrap().unwrap();
    begun.abort();
}

#[tokio::test]
async fn whoever_is_still_sending_reads_why_it_was_refused() {
    let Running { api, .. } = start("1").await;
    let body = vec![b' '; 4 * 1024 * 1024];
    for (token, status) in [("token-zhang", "413"), ("stolen", "401")] {
        // Often: a reset overtakes the answer only now and then.
        for _ in 0..20 {
            let head = format!(
                "POST /api/v1/departments/finance/requests HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let mut stream = TcpStream::connect(api).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
    }
}

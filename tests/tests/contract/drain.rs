//! SIGTERM while requests are under way: each is answered, then the process ends.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use zhengyun_tests::lab::Component;
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town};

use crate::call::Contract;
use crate::problem::Language;
use crate::setting::order;

/// Requests under way when the signal comes.
const UNDER_WAY: usize = 8;
/// What the product promises.
const PROMISED: Duration = Duration::from_secs(20);
const DEPARTMENT: &str = "finance";
const CLERK: &str = "clerk-finance";

/// Begins writes on a second API, tells it to stop, and finishes them.
pub(crate) async fn finishes_what_was_begun(contract: &Contract, town: &Town) -> Result<()> {
    let api = town.lab().start_api("drain", &[])?;
    let ready = format!("{}/readyz", api.metrics_url());
    settled("the second API ready", SOON, || async {
        let status = reqwest::get(&ready).await?.status();
        Ok(if status.is_success() { Ok(()) } else { Err(format!("/readyz answers {status}")) })
    })
    .await?;
    let address = api.url().context("the API has an address")?.trim_start_matches("http://").to_owned();
    // An idle connection must not keep the process alive.
    let idle = TcpStream::connect(&address).await?;
    let mut begun = Vec::new();
    for number in 0..UNDER_WAY {
        begun.push(Begun::send_head(&address, contract.token(CLERK), number).await?);
    }
    settled("all requests under way", SOON, || async {
        let figures = reqwest::get(format!("{}/metrics", api.metrics_url())).await?.text().await?;
        let line = figures.lines().find(|l| l.starts_with("zhengyun_api_http_requests_in_flight ")).unwrap_or_default();
        Ok(if line.ends_with(&format!(" {UNDER_WAY}")) { Ok(()) } else { Err(line.to_owned()) })
    })
    .await?;

    let told = Instant::now();
    api.process().signal(rustix::process::Signal::TERM)?;
    settled("new connections are refused", SOON, || async {
        Ok(match TcpStream::connect(&address).await {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })
    .await?;
    let status = reqwest::get(&ready).await?.status();
    contract.faults.check(status.as_u16() == 503, || format!("while it drains, /readyz answers {status}"));
    for one in begun {
        one.finish(contract).await?;
    }
    ended(contract, &api, told).await?;
    drop(idle);
    for number in 0..UNDER_WAY {
        let stored = contract.call("getRequest", &[DEPARTMENT, &name(number)]).by(CLERK).send().await?;
        stored.is(200);
    }
    Ok(())
}

async fn ended(contract: &Contract, api: &Component, told: Instant) -> Result<()> {
    let exit = api.process().wait_exit(PROMISED.saturating_sub(told.elapsed())).await?;
    let took = told.elapsed();
    eprintln!("         drained in {:.1} s, {exit}", took.as_secs_f64());
    contract.faults.check(exit.code() == Some(0), || format!("drained with {exit}"));
    contract.faults.check(took < PROMISED, || format!("drained in {took:?}"));
    Ok(())
}

fn name(number: usize) -> String {
    format!("contract-drain-{number}")
}

/// A write whose body is half sent.
struct Begun {
    stream: TcpStream,
    rest: Vec<u8>,
    number: usize,
}

impl Begun {
    async fn send_head(address: &str, token: &str, number: usize) -> Result<Self> {
        let order = order("finance-e-invoice", "1", "Standard");
        let body = json!({ "name": name(number), "order": order }).to_string().into_bytes();
        let head = format!(
            "POST /api/v1/departments/{DEPARTMENT}/requests HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let (first, rest) = body.split_at(body.len() / 2);
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&[head.as_bytes(), first].concat()).await?;
        Ok(Self { stream, rest: rest.to_vec(), number })
    }

    /// Sends the rest and reads until the connection is closed, as a draining server closes it.
    async fn finish(mut self, contract: &Contract) -> Result<()> {
        let told = format!("request {} that was under way at SIGTERM", self.number);
        self.stream.write_all(&self.rest).await.with_context(|| told.clone())?;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PROMISED, self.stream.read_to_end(&mut answer)).await;
        read.with_context(|| told.clone())?.with_context(|| told.clone())?;
        let split = answer.windows(4).position(|w| w == b"\r\n\r\n").with_context(|| format!("{told}: no answer"))?;
        let head = std::str::from_utf8(&answer[..split])?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or_default();
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        let answer = contract.answer(&told, status, headers, &answer[split + 4..]);
        contract.hold(Some("createRequest"), &answer, Language::Chinese);
        answer.is(201).check(answer.body["name"] == name(self.number), "must be the request that was asked for");
        answer.check(answer.header("connection") == "close", "must say that the connection ends");
        Ok(())
    }
}

//! The REST API as a person uses it: with the person's own token.

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// One person at the API's door.
#[derive(Debug, Clone)]
pub struct Door {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// ETag, if any.
    pub etag: Option<String>,
    /// Content type.
    pub content_type: String,
    /// Body; null when it is empty or no JSON.
    pub body: Value,
}

impl Answer {
    /// The body of a success.
    ///
    /// # Errors
    /// The problem that came instead, in one line.
    pub fn ok(self) -> Result<Value> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let text = |key: &str| self.body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let findings: Vec<String> = self
            .body
            .get("findings")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|f| {
                format!(
                    "{}: {}",
                    f.get("pointer").and_then(Value::as_str).unwrap_or_default(),
                    f.get("message").and_then(Value::as_str).unwrap_or_default()
                )
            })
            .collect();
        bail!("{} {}: {} {}", self.status.as_u16(), text("code"), text("detail"), findings.join("; "))
    }
}

impl Door {
    /// A person with a token.
    pub fn new(base: &str, token: &str) -> Self {
        Self { http: reqwest::Client::new(), base: base.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>, etag: Option<&str>) -> Result<Answer> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(etag) = etag {
            request = request.header("If-Match", etag);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let (status, etag, content_type) =
            (response.status(), header("etag"), header("content-type").unwrap_or_default());
        let bytes = response.bytes().await?;
        Ok(Answer { status, etag, content_type, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    /// Reads.
    ///
    /// # Errors
    /// The problem, or no answer.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, None, None).await?.ok()
    }

    /// Posts.
    ///
    /// # Errors
    /// The problem, or no answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(Method::POST, path, Some(body), None).await?.ok()
    }

    /// The ETag of a request as it stands.
    ///
    /// # Errors
    /// The problem, or no answer.
    pub async fn etag(&self, department: &str, request: &str) -> Result<String> {
        let answer = self.send(Method::GET, &request_path(department, request), None, None).await?;
        let etag = answer.etag.clone();
        answer.ok()?;
        etag.context("a request has an ETag")
    }

    /// Creates a request.
    ///
    /// # Errors
    /// The problem, or no answer.
    pub async fn create(&self, department: &str, name: &str, order: &Value) -> Result<Value> {
        self.post(&format!("/api/v1/departments/{department}/requests"), &json!({ "name": name, "order": order })).await
    }

    /// Submits a request.
    ///
    /// # Errors
    /// The problem, or no answer.
    pub async fn submit(&self, department: &str, name: &str) -> Result<Value> {
        // What is submitted is what was read: the author's own write a moment ago shows already.
        let etag = self.etag(department, name).await?;
        let path = format!("{}/submission", request_path(department, name));
        self.send(Method::POST, &path, None, Some(&etag)).await?.ok()
    }

    /// Confirms a delivery.
    ///
    /// # Errors
    /// The problem, or no answer.
    pub async fn confirm(&self, department: &str, name: &str) -> Result<Value> {
        self.send(Method::POST, &format!("{}/confirmation", request_path(department, name)), None, None).await?.ok()
    }

    /// Decides on a request at its open stage, on the order as it stands.
    ///
    /// # Errors
    /// The problem, or no answer.
    pub async fn decide(&self, department: &str, name: &str, verdict: &str, reason: &str) -> Result<Value> {
        let etag = self.etag(department, name).await?;
        let path = format!("{}/decisions", request_path(department, name));
        self.send(Method::POST, &path, Some(&json!({ "verdict": verdict, "reason": reason })), Some(&etag)).await?.ok()
    }

    /// Replaces the order of a returned request or a draft.
    ///
    /// # Errors
    /// The problem, or no answer.
    pub async fn correct(&self, department: &str, name: &str, order: &Value) -> Result<Value> {
        let etag = self.etag(department, name).await?;
        self.send(Method::PUT, &request_path(department, name), Some(&json!({ "order": order })), Some(&etag))
            .await?
            .ok()
    }
}

/// Path of a request.
pub fn request_path(department: &str, request: &str) -> String {
    format!("/api/v1/departments/{department}/requests/{request}")
}

//! Calls to the API, every answer of which is held to the document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use zhengyun_tests::town::Town;

use crate::document::Document;
use crate::faults::Faults;
use crate::problem::{self, Language, MEDIA_TYPE};

/// A token of the right letters that the hub has never seen.
const GARBAGE: &str = "garbage.of-the_right~letters";

/// The API beside its document.
#[derive(Debug)]
pub(crate) struct Contract {
    /// The committed document.
    pub(crate) document: Document,
    /// Disagreements so far.
    pub(crate) faults: Faults,
    http: reqwest::Client,
    base: String,
    tokens: BTreeMap<String, String>,
    answers: AtomicUsize,
    seen: Mutex<BTreeSet<(String, u16)>>,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Without a token.
    Nobody,
    /// With a token that the hub does not know.
    Garbage,
    /// An invented person of the lab.
    Person(&'static str),
}

/// A call that is being put together.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    contract: &'a Contract,
    /// Operation of the document, if it is one.
    operation: Option<String>,
    method: Method,
    path: String,
    who: Who,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Status.
    pub(crate) status: u16,
    /// Body; null when it is no JSON.
    pub(crate) body: Value,
    headers: HeaderMap,
    told: String,
    faults: Faults,
}

impl Contract {
    /// The API of a town.
    pub(crate) fn of(town: &Town) -> Result<Self> {
        let people = town.lab().people().iter();
        let tokens = people.map(|p| Ok((p.username.clone(), town.lab().hub().person_token(&p.username)?)));
        Ok(Self {
            document: Document::read()?,
            faults: Faults::default(),
            http: reqwest::Client::new(),
            base: town.api_url()?.trim_end_matches('/').to_owned(),
            tokens: tokens.collect::<Result<_>>()?,
            answers: AtomicUsize::new(0),
            seen: Mutex::default(),
        })
    }

    /// Answers that were held to the document.
    pub(crate) fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Successes of the document that no answer was so far.
    pub(crate) fn successes_not_seen(&self) -> Vec<(String, u16)> {
        let seen = self.seen.lock().unwrap();
        self.document.successes().filter(|success| !seen.contains(success)).collect()
    }

    /// A call of an operation of the document, with its path parameters in their order.
    pub(crate) fn call(&self, operation: &str, parameters: &[&str]) -> Call<'_> {
        let known =
            self.document.operations.get(operation).unwrap_or_else(|| panic!("the document has no {operation}"));
        let mut path = String::new();
        let mut parameters = parameters.iter();
        for segment in known.path.split('/').skip(1) {
            path.push('/');
            path.push_str(if segment.starts_with('{') {
                parameters.next().expect("every path parameter")
            } else {
                segment
            });
        }
        Call { operation: Some(operation.to_owned()), ..self.knock(known.method.clone(), &path) }
    }

    /// A call of something that is no operation of the document.
    pub(crate) fn knock(&self, method: Method, path: &str) -> Call<'_> {
        let path = path.to_owned();
        Call { contract: self, operation: None, method, path, who: Who::Nobody, headers: Vec::new(), body: None }
    }

    /// Holds an answer to the document; `operation` is none for what the document does not know.
    pub(crate) fn hold(&self, operation: Option<&str>, answer: &Answer, language: Language) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let media = answer.header("content-type");
        let mut found = match operation {
            Some(id) => {
                self.seen.lock().unwrap().insert((id.to_owned(), answer.status));
                let headers: Vec<String> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
                self.document.departures(id, answer.status, media, &headers, &answer.body)
            }
            None => Vec::new(),
        };
        if answer.status >= 400 {
            found.extend(problem::departures(&self.document, answer, language));
        } else if let (Some(tag), Some(told)) = (answer.headers.get("etag"), answer.body["etag"].as_str())
            && tag != told
        {
            found.push(format!("ETag {tag:?} in the header, {told} in the body"));
        }
        if answer.header("x-request-id").is_empty() || answer.header("x-content-type-options") != "nosniff" {
            found.push("X-Request-Id or X-Content-Type-Options is missing".to_owned());
        }
        if answer.header("cache-control") != "no-store" && operation != Some("getOpenApi") {
            found.push("what one person may see may be kept by a shared cache".to_owned());
        }
        for fault in found {
            self.faults.add(format!("{answer}: {fault}"));
        }
    }

    /// An answer that came another way than through a [`Call`].
    pub(crate) fn answer(&self, told: &str, status: u16, headers: HeaderMap, body: &[u8]) -> Answer {
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        Answer { status, body, headers, told: told.to_owned(), faults: self.faults.clone() }
    }

    /// The token of a person.
    pub(crate) fn token(&self, person: &str) -> &str {
        self.tokens.get(person).unwrap_or_else(|| panic!("the lab has no {person}"))
    }
}

impl Call<'_> {
    /// As whom.
    pub(crate) fn who(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    /// As a person.
    pub(crate) fn by(self, person: &'static str) -> Self {
        self.who(Who::Person(person))
    }

    /// With a query.
    pub(crate) fn query(mut self, query: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(query);
        self
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    /// With what was seen.
    pub(crate) fn seen(self, tag: &str) -> Self {
        self.header("if-match", tag)
    }

    /// Without a header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    /// With a JSON body.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.bytes(body.to_string().into_bytes()).header("content-type", "application/json")
    }

    /// With any body.
    pub(crate) fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    /// Sends it and holds the answer to the document. What is refused is asked for once more in English, and must be the same
    /// refusal.
    pub(crate) async fn send(&self) -> Result<Answer> {
        let answer = self.once(None).await?;
        self.contract.hold(self.operation.as_deref(), &answer, Language::Chinese);
        if answer.status >= 400 {
            let english = self.once(Some("en-GB, zh;q=0.5")).await?;
            self.contract.hold(self.operation.as_deref(), &english, Language::English);
            for part in ["code", "messages", "remedy", "findings"] {
                let same = english.body[part] == answer.body[part];
                self.contract
                    .faults
                    .check(same, || format!("{answer}: {part} differ when asked in English: {}", english.body[part]));
            }
        }
        Ok(answer)
    }

    async fn once(&self, language: Option<&str>) -> Result<Answer> {
        let mut request =
            self.contract.http.request(self.method.clone(), format!("{}{}", self.contract.base, self.path));
        request = match self.who {
            Who::Nobody => request,
            Who::Garbage => request.bearer_auth(GARBAGE),
            Who::Person(person) => request.bearer_auth(self.contract.token(person)),
        };
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(language) = language {
            request = request.header("accept-language", language);
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let told = format!("{:?} {} {}", self.who, self.method, self.path);
        let response = request.send().await.with_context(|| told.clone())?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let is_stream = headers.get("content-type").is_some_and(|media| media == "text/event-stream");
        let bytes = if is_stream { first_event(response).await } else { Ok(response.bytes().await?.to_vec()) };
        Ok(self.contract.answer(&told, status, headers, &bytes.with_context(|| told.clone())?))
    }
}

/// The first event of a stream without end, as a JSON text.
async fn first_event(mut response: reqwest::Response) -> Result<Vec<u8>> {
    let mut text = String::new();
    while !text.contains("\n\n") {
        let chunk = response.chunk().await?.context("the stream ended before its first event")?;
        text.push_str(std::str::from_utf8(&chunk)?);
    }
    Ok(serde_json::to_vec(&text)?)
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} → {} {}", self.told, self.status, self.code())
    }
}

impl Answer {
    /// A header, empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The ETag.
    pub(crate) fn tag(&self) -> &str {
        self.header("etag")
    }

    /// Notes a disagreement unless something holds.
    pub(crate) fn check(&self, holds: bool, fault: &str) -> &Self {
        self.faults.check(holds, || format!("{self}: {fault}; the body is {}", excerpt(&self.body)));
        self
    }

    /// Must be a success of this status.
    pub(crate) fn is(&self, status: u16) -> &Self {
        self.check(self.status == status, &format!("must be {status}"))
    }

    /// Must be this problem.
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> &Self {
        let right = self.status == status && self.code() == code && self.header("content-type") == MEDIA_TYPE;
        self.check(right, &format!("must be the problem {status} {code}"))
    }

    /// Must hold a finding that points there.
    pub(crate) fn points_to(&self, pointer: &str) -> &Self {
        self.check(!self.findings(pointer).is_empty(), &format!("must hold a finding about {pointer:?}"))
    }

    /// Must hold a finding that points there and says all of these.
    pub(crate) fn says(&self, pointer: &str, words: &[&str]) -> &Self {
        let found = self.findings(pointer).iter().any(|f| tells(f, words));
        self.check(found, &format!("must find something at {pointer:?} and say {words:?}"))
    }

    /// Like [`Answer::says`], by a rule of this name.
    pub(crate) fn finds(&self, pointer: &str, rule: &str, words: &[&str]) -> &Self {
        let found = self.findings(pointer).iter().any(|f| f["rule"] == rule && tells(f, words));
        self.check(found, &format!("must find {rule} at {pointer:?} and say {words:?}"))
    }

    fn findings(&self, pointer: &str) -> Vec<Value> {
        let all = self.body["findings"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|finding| finding["pointer"] == pointer).collect()
    }
}

fn tells(finding: &Value, words: &[&str]) -> bool {
    let message = finding["message"].as_str().unwrap_or_default();
    words.iter().all(|word| message.contains(word))
}

fn excerpt(body: &Value) -> String {
    body.to_string().chars().take(700).collect()
}

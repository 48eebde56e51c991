//! What every problem owes its reader: RFC 9457, a stable code, both languages, a remedy.

use serde_json::Value;

use crate::call::Answer;
use crate::document::Document;

/// The media type of every error.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// A language of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// Unless another is asked for.
    Chinese,
    /// When it is asked for.
    English,
}

impl Language {
    const fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }
}

/// Everything in which a problem is not as it must be.
pub(crate) fn departures(document: &Document, answer: &Answer, language: Language) -> Vec<String> {
    let body = &answer.body;
    let mut found = document.departures_of_problem(body);
    let mut check = |holds: bool, fault: &str| {
        if !holds {
            found.push(fault.to_owned());
        }
    };
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let code = text("/code");
    check(answer.header("content-type") == MEDIA_TYPE, "content type is not application/problem+json");
    check(text("/type") == format!("urn:zhengyun:problem:{code}"), "type is not the URN of the code");
    check(body["status"] == answer.status, "status differs from the status line");
    check(document.page_tells(code), "docs/api.md does not tell this code");
    check(!text("/requestId").is_empty(), "no requestId");
    check(text("/requestId") == answer.header("x-request-id"), "requestId differs from X-Request-Id");
    check(answer.header("content-language") == language.tag(), "Content-Language is not the language asked for");
    check(answer.header("vary").to_lowercase().contains("accept-language"), "Vary does not name Accept-Language");
    for part in ["messages", "remedy"] {
        check(is_chinese(text(&format!("/{part}/zh-CN"))), &format!("{part}/zh-CN is not Chinese"));
        let english = text(&format!("/{part}/en"));
        check(!english.is_empty() && !is_chinese(english), &format!("{part}/en is not English"));
    }
    check(
        text("/detail") == text(&format!("/messages/{}", language.tag())),
        "detail is not the message in the language asked for",
    );
    check(!text("/title").is_empty(), "no title");
    check(is_chinese(text("/title")) == (language == Language::Chinese), "title is not in the language asked for");
    for finding in body["findings"].as_array().into_iter().flatten() {
        let told = ["rule", "message"].iter().all(|part| finding[part].as_str().is_some_and(|text| !text.is_empty()));
        check(told, "a finding without rule or message");
    }
    match answer.status {
        401 => check(answer.header("www-authenticate").starts_with("Bearer"), "no challenge"),
        405 => check(!answer.header("allow").is_empty(), "no Allow"),
        503 | 504 => check(!answer.header("retry-after").is_empty(), "no Retry-After"),
        _ => {}
    }
    found
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

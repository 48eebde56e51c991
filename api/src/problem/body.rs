//! The shape of a problem on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Code, Language, Text};

/// A text in both languages of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Bilingual {
    /// Simplified Chinese.
    #[serde(rename = "zh-CN")]
    pub(crate) zh_cn: String,
    /// English.
    pub(crate) en: String,
}

impl From<&Text> for Bilingual {
    fn from(text: &Text) -> Self {
        Self { zh_cn: text.zh.clone().into_owned(), en: text.en.clone().into_owned() }
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Finding {
    /// JSON pointer into the request body, or the name of a query parameter; empty when it concerns the whole.
    #[schema(example = "/order/items/0/parameters/size")]
    pub(crate) pointer: String,
    /// Stable name of the rule.
    #[schema(example = "ParametersInvalid")]
    pub(crate) rule: String,
    /// What is wrong, the value, and the fix.
    pub(crate) message: String,
}

impl Finding {
    /// A finding at a place.
    pub(crate) fn new(pointer: impl Into<String>, rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), rule: rule.into(), message: message.into() }
    }
}

impl From<zhengyun_crds::request::Finding> for Finding {
    fn from(finding: zhengyun_crds::request::Finding) -> Self {
        // The operator points into the custom resource, the reader of this answer into the body.
        Self {
            pointer: super::from_hub::pointer_in_body(&finding.pointer),
            rule: finding.rule,
            message: finding.message,
        }
    }
}

/// A refusal or failure (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// URN of the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:zhengyun:problem:request-frozen")]
    pub(crate) kind: String,
    /// Kind of problem in the language asked for.
    pub(crate) title: String,
    /// HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub(crate) status: u16,
    /// What happened, in the language asked for.
    pub(crate) detail: String,
    /// Stable code for programs.
    #[schema(value_type = Code)]
    pub(crate) code: String,
    /// What happened, in both languages.
    pub(crate) messages: Bilingual,
    /// What to do about it, in both languages.
    pub(crate) remedy: Bilingual,
    /// What is wrong field by field; empty when the problem is not about fields.
    pub(crate) findings: Vec<Finding>,
    /// Id under which the log of the API tells more.
    pub(crate) request_id: String,
}

impl ProblemBody {
    pub(super) fn new(
        code: Code,
        detail: &Text,
        remedy: &Text,
        findings: Vec<Finding>,
        language: Language,
        request_id: &str,
    ) -> Self {
        Self {
            kind: format!("urn:zhengyun:problem:{}", code.as_str()),
            title: language.pick(&code.title()).to_owned(),
            status: code.status().as_u16(),
            detail: language.pick(detail).to_owned(),
            code: code.as_str().to_owned(),
            messages: detail.into(),
            remedy: remedy.into(),
            findings,
            request_id: request_id.to_owned(),
        }
    }
}

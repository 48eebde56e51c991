//! The closed list of problem codes, each with its status, title and usual remedy.

use std::borrow::Cow;

use http::StatusCode;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::Text;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal, $status:ident, $title_zh:literal / $title_en:literal, $remedy_zh:literal / $remedy_en:literal;)+) => {
        /// The stable name of a kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code { $($(#[$doc])* $variant),+ }

        impl Code {
            /// Every code.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire),+ }
            }

            /// The HTTP status that goes with it.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// What kind of problem it is.
            pub(crate) fn title(self) -> Text {
                match self { $(Self::$variant => Text::new($title_zh, $title_en)),+ }
            }

            /// What usually helps.
            pub(crate) fn remedy(self) -> Text {
                match self { $(Self::$variant => Text::new($remedy_zh, $remedy_en)),+ }
            }
        }
    };
}

codes! {
    /// No bearer token.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "未登录" / "Not authenticated",
        "请在请求头 Authorization 中携带 Bearer 令牌。" / "Send a bearer token in the Authorization header.";
    /// A bearer token that the hub does not accept.
    InvalidToken = "invalid-token", UNAUTHORIZED, "令牌无效" / "Invalid token",
        "请重新登录并获取新的令牌。" / "Sign in again and use a fresh token.";
    /// The caller may see the thing but not do this to it.
    Forbidden = "forbidden", FORBIDDEN, "无权操作" / "Forbidden",
        "请由具备相应角色的人员办理，或请云管理员授予角色。" / "Have someone with the role do it, or ask the cloud administrator for the role.";
    /// The caller may not decide this stage.
    NotEntitled = "not-entitled", FORBIDDEN, "无权审批该环节" / "Not entitled to decide this stage",
        "请由该环节的审批人办理，或请云管理员授予审批角色。" / "Have an approver of this stage decide, or ask the cloud administrator for the role.";
    /// The caller requested, edited or already decided.
    DutiesNotSeparate = "duties-not-separate", FORBIDDEN, "职责未分离" / "Duties not separate",
        "请由未参与申请、修改和其他环节审批的人员审批。" / "Have a person decide who neither requested nor edited it nor decided another stage.";
    /// There is no such thing, or the caller may not know of it.
    NotFound = "not-found", NOT_FOUND, "未找到" / "Not found",
        "请核对名称；无权查看的对象同样显示为未找到。" / "Check the name; what you may not see is shown as not found, too.";
    /// The route exists, the method does not.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "方法不支持" / "Method not allowed",
        "请使用响应头 Allow 列出的方法，接口说明见 /api/v1/openapi.json。" / "Use a method listed in the Allow header; /api/v1/openapi.json describes every route.";
    /// The request cannot be read at all.
    MalformedRequest = "malformed-request", BAD_REQUEST, "请求格式错误" / "Malformed request",
        "请按接口说明 /api/v1/openapi.json 修改请求。" / "Write the request as /api/v1/openapi.json describes it.";
    /// A query parameter is unknown or wrong.
    InvalidQuery = "invalid-query", BAD_REQUEST, "查询参数错误" / "Invalid query",
        "请按 findings 逐项修改查询参数。" / "Correct the query parameters as the findings say.";
    /// Fields of the body are wrong.
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "内容不符合要求" / "Invalid content",
        "请按 findings 逐项修改后重新提交。" / "Correct the fields as the findings say and send it again.";
    /// The action is not offered in this version.
    ActionNotAvailable = "action-not-available", UNPROCESSABLE_ENTITY, "该操作尚未开放" / "Action not available",
        "本版本支持 Create 和 Revoke。" / "This version offers Create and Revoke.";
    /// Something of that name exists already.
    AlreadyExists = "already-exists", CONFLICT, "名称已被占用" / "Already exists",
        "请更换名称，或查看现有对象。" / "Choose another name, or look at what exists.";
    /// Somebody else wrote at the same time.
    Conflict = "conflict", CONFLICT, "并发修改冲突" / "Conflict",
        "请重新读取后再试。" / "Read it again and repeat.";
    /// The order is under review or decided.
    RequestFrozen = "request-frozen", CONFLICT, "申请单已冻结" / "Request frozen",
        "请由审批人退回后修改，或撤回并新建申请单。" / "Ask the approver to return it, or withdraw it and write a new one.";
    /// The request is not before an approver.
    NotUnderReview = "not-under-review", CONFLICT, "申请单不在审批中" / "Not under review",
        "请重新读取申请单，查看其当前状态。" / "Read the request again and see where it stands.";
    /// Another stage is open than the one decided on.
    StageNotOpen = "stage-not-open", CONFLICT, "审批环节未开放" / "Stage not open",
        "请在该环节开放后再审批。" / "Decide once that stage is open.";
    /// The order under review is not the one in the spec.
    OrderChanged = "order-changed", CONFLICT, "申请内容已变化" / "Order changed",
        "请重新读取申请单，对当前内容作出审批。" / "Read the request again and decide on what it holds now.";
    /// The request has come to its end.
    RequestClosed = "request-closed", CONFLICT, "申请单已办结" / "Request closed",
        "如仍有需要，请新建申请单。" / "Write a new request if it is still needed.";
    /// A backup, restore or drill that ended.
    RunEnded = "run-ended", CONFLICT, "任务已结束" / "Run ended",
        "如仍有需要，请新建一次。" / "Ask for another one if it is still needed.";
    /// A signature under a migration that would do nothing.
    SignatureNotCounted = "signature-not-counted", CONFLICT, "签署不生效" / "Signature would not count",
        "请重新读取该迁移，由 signers 或 cutover.approvers 中的人员对当前 evidence 的摘要签署。" / "Read the migration again and have one of its signers or approvers sign the digest that its evidence shows now.";
    /// A recovery plan with runs under way.
    PlanInUse = "plan-in-use", CONFLICT, "灾备方案有任务在进行" / "Plan in use",
        "请等待任务结束或先取消任务；如只需停止新的任务，请将 paused 设为 true。" / "Wait for the runs or cancel them first; to start no more of them, set paused to true.";
    /// There is no delivery to confirm.
    NothingToConfirm = "nothing-to-confirm", CONFLICT, "没有待确认的交付" / "Nothing to confirm",
        "请在资源交付后确认。" / "Confirm once the resources are delivered.";
    /// The grant is ended or being ended.
    GrantNotLive = "grant-not-live", CONFLICT, "资源不在用" / "Grant not live",
        "请查看该资源授予的当前状态。" / "See where the grant stands.";
    /// What was seen is not what is there.
    PreconditionFailed = "precondition-failed", PRECONDITION_FAILED, "所见内容已过期" / "Precondition failed",
        "请重新读取，核对变化后以新的 ETag 重试。" / "Read it again, look at what changed, and repeat with the new ETag.";
    /// The request does not say what was seen.
    PreconditionRequired = "precondition-required", PRECONDITION_REQUIRED, "缺少 If-Match" / "Precondition required",
        "请先读取该对象，并在 If-Match 中携带其 ETag。" / "Read it first and send its ETag in If-Match.";
    /// The body is too large.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "请求体过大" / "Body too large",
        "请把材料存放在别处，仅以摘要和存放位置引用。" / "Keep documents elsewhere and refer to them by digest and place.";
    /// The body is not JSON.
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "不支持的内容类型" / "Unsupported media type",
        "请以 Content-Type: application/json 发送 JSON。" / "Send JSON with Content-Type: application/json.";
    /// The headers are too large.
    HeadersTooLarge = "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "请求头过大" / "Headers too large",
        "请减少请求头内容。" / "Send fewer or shorter headers.";
    /// The API failed.
    Internal = "internal", INTERNAL_SERVER_ERROR, "内部错误" / "Internal error",
        "请稍后重试；如仍失败，请将 requestId 告知云管理员。" / "Try again later; if it persists, give the requestId to the cloud administrator.";
    /// Too many requests at once.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "服务繁忙" / "Overloaded",
        "请稍候重试。" / "Try again in a moment.";
    /// The API has not read everything from the hub yet.
    NotReady = "not-ready", SERVICE_UNAVAILABLE, "服务启动中" / "Not ready",
        "请稍候重试。" / "Try again in a moment.";
    /// The hub does not answer.
    HubUnavailable = "hub-unavailable", SERVICE_UNAVAILABLE, "管理集群暂不可用" / "Hub unavailable",
        "请稍候重试；写操作请先重新读取以确认是否已生效。" / "Try again in a moment; after a write, read first to see whether it took effect.";
    /// It took too long.
    Timeout = "timeout", GATEWAY_TIMEOUT, "处理超时" / "Timeout",
        "请稍候重试；写操作请先重新读取以确认是否已生效。" / "Try again in a moment; after a write, read first to see whether it took effect.";
}

impl Code {
    /// After how many seconds a program should try again, where trying again is the remedy.
    pub(super) const fn retry_after_seconds(self) -> Option<u32> {
        match self {
            Self::Overloaded | Self::HubUnavailable | Self::Timeout => Some(1),
            Self::NotReady => Some(2),
            _ => None,
        }
    }

    /// The challenge of a 401 (RFC 6750, section 3).
    pub(super) const fn challenge(self) -> &'static str {
        match self {
            Self::InvalidToken => "Bearer realm=\"zhengyun\", error=\"invalid_token\"",
            _ => "Bearer realm=\"zhengyun\"",
        }
    }
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .description(Some("Stable name of a kind of problem."))
            .into()
    }
}

impl ToSchema for Code {
    fn name() -> Cow<'static, str> {
        "ProblemCode".into()
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn codes_are_unique_error_codes_in_kebab_case() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} twice", code.as_str());
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", code.as_str());
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{}", code.as_str());
        }
    }

    #[test]
    fn every_title_and_remedy_is_in_the_language_it_claims() {
        let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        for code in Code::ALL {
            for text in [code.title(), code.remedy()] {
                assert!(chinese(&text.zh), "{}: {}", code.as_str(), text.zh);
                assert!(!chinese(&text.en), "{}: {}", code.as_str(), text.en);
            }
        }
    }
}

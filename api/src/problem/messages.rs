//! The sentences: what each problem says in Chinese and in English, with the names and numbers of the case.

use super::{Code, Finding, Problem, Text};

/// A thing that a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noun {
    /// 部门
    Department,
    /// 配额
    Quota,
    /// 站点
    Site,
    /// 服务目录项
    CatalogItem,
    /// 信息系统
    System,
    /// 申请单
    Request,
    /// 审批意见
    Approval,
    /// 资源授予
    Grant,
    /// 备份存储库
    BackupStore,
    /// 灾备方案
    RecoveryPlan,
    /// 系统备份
    Backup,
    /// 系统恢复
    Restore,
    /// 灾备演练
    Drill,
    /// 系统迁移
    Migration,
    /// 迁移批次
    Wave,
    /// 机房
    Room,
}

impl Noun {
    const fn zh(self) -> &'static str {
        match self {
            Self::Department => "部门",
            Self::Quota => "部门配额",
            Self::Site => "站点",
            Self::CatalogItem => "服务目录项",
            Self::System => "信息系统",
            Self::Request => "申请单",
            Self::Approval => "审批意见",
            Self::Grant => "资源授予",
            Self::BackupStore => "备份存储库",
            Self::RecoveryPlan => "灾备方案",
            Self::Backup => "系统备份",
            Self::Restore => "系统恢复",
            Self::Drill => "灾备演练",
            Self::Migration => "系统迁移",
            Self::Wave => "迁移批次",
            Self::Room => "机房",
        }
    }

    const fn en(self) -> &'static str {
        match self {
            Self::Department => "department",
            Self::Quota => "quota of department",
            Self::Site => "site",
            Self::CatalogItem => "catalogue item",
            Self::System => "information system",
            Self::Request => "request",
            Self::Approval => "approval",
            Self::Grant => "grant",
            Self::BackupStore => "backup store",
            Self::RecoveryPlan => "recovery plan",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Drill => "drill",
            Self::Migration => "migration",
            Self::Wave => "wave",
            Self::Room => "machine room",
        }
    }
}

impl Problem {
    /// No usable `Authorization` header.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            Code::Unauthenticated,
            Text::new("请求未携带有效的 Bearer 令牌。", "The request carries no usable bearer token."),
        )
    }

    /// The hub does not accept the token.
    pub(crate) fn invalid_token() -> Self {
        Self::new(Code::InvalidToken, Text::new("令牌无效或已过期。", "The bearer token is invalid or has expired."))
    }

    /// There is no such thing, or the caller may not know of it.
    pub(crate) fn not_found(noun: Noun, name: &str) -> Self {
        Self::new(
            Code::NotFound,
            Text::new(format!("没有名为 {name} 的{}。", noun.zh()), format!("There is no {} named {name}.", noun.en())),
        )
    }

    /// No route of that path.
    pub(crate) fn no_such_route() -> Self {
        Self::new(Code::NotFound, Text::new("没有此接口。", "There is no such route."))
            .with_remedy(Text::new("接口说明见 /api/v1/openapi.json。", "/api/v1/openapi.json describes every route."))
    }

    /// The route does not take this method.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(Code::MethodNotAllowed, Text::new("此接口不支持该方法。", "This route does not take that method."))
    }

    /// The caller may see the thing but not do this.
    pub(crate) fn forbidden(noun: Noun, department: &str) -> Self {
        Self::new(
            Code::Forbidden,
            Text::new(
                format!("您无权在部门 {department} 对{}执行此操作。", noun.zh()),
                format!("You may not do this to a {} of department {department}.", noun.en()),
            ),
        )
    }

    /// The caller may not decide this stage.
    pub(crate) fn not_entitled(stage: &str, department: &str) -> Self {
        Self::new(
            Code::NotEntitled,
            Text::new(
                format!("您无权审批部门 {department} 申请单的 {stage} 环节。"),
                format!("You may not decide the stage {stage} of requests of department {department}."),
            ),
        )
    }

    /// The caller took part before.
    pub(crate) fn duties_not_separate(zh: &'static str, en: &'static str) -> Self {
        Self::new(Code::DutiesNotSeparate, Text::new(zh, en))
    }

    /// The request cannot be read.
    pub(crate) fn malformed_request() -> Self {
        Self::new(Code::MalformedRequest, Text::new("请求无法解析。", "The request cannot be read."))
    }

    /// The body is no JSON.
    pub(crate) fn malformed_body(cause: &str) -> Self {
        Self::new(
            Code::MalformedRequest,
            Text::new(format!("请求体不是合法的 JSON：{cause}。"), format!("The body is not valid JSON: {cause}.")),
        )
    }

    /// The body is no JSON by its media type.
    pub(crate) fn unsupported_media_type() -> Self {
        Self::new(
            Code::UnsupportedMediaType,
            Text::new("请求体必须是 application/json。", "The body must be application/json."),
        )
    }

    /// The body is too large.
    pub(crate) fn body_too_large() -> Self {
        Self::new(Code::BodyTooLarge, Text::new("请求体超过允许的大小。", "The body is larger than is allowed."))
    }

    /// The headers are too large.
    pub(crate) fn headers_too_large() -> Self {
        Self::new(Code::HeadersTooLarge, Text::new("请求头超过允许的大小。", "The headers are larger than is allowed."))
    }

    /// A query parameter is wrong.
    pub(crate) fn invalid_query(findings: Vec<Finding>) -> Self {
        Self::new(Code::InvalidQuery, Text::new("查询参数不正确。", "The query is not correct."))
            .with_findings(findings)
    }

    /// Fields of the body are wrong.
    pub(crate) fn invalid(findings: Vec<Finding>) -> Self {
        Self::new(Code::Invalid, Text::new("提交的内容不符合要求。", "What was sent does not meet the rules."))
            .with_findings(findings)
    }

    /// The action is not built yet.
    pub(crate) fn action_not_available(action: &str) -> Self {
        let finding = Finding::new(
            "/order/action",
            "ActionNotAvailable",
            format!("{action} is not offered in this version; Create and Revoke are"),
        );
        Self::new(
            Code::ActionNotAvailable,
            Text::new(format!("本版本不支持 {action}。"), format!("{action} is not offered in this version.")),
        )
        .with_findings(vec![finding])
    }

    /// The name is taken.
    pub(crate) fn already_exists(noun: Noun, name: &str) -> Self {
        Self::new(
            Code::AlreadyExists,
            Text::new(
                format!("名为 {name} 的{}已存在，且内容不同。", noun.zh()),
                format!("A {} named {name} exists already, with other content.", noun.en()),
            ),
        )
    }

    /// Somebody else wrote at the same time, again and again.
    pub(crate) fn conflict() -> Self {
        Self::new(
            Code::Conflict,
            Text::new("该对象正被他人修改。", "Somebody else is changing this object at the same time."),
        )
    }

    /// The operator has not seen the last editor yet, whom nobody may hide by becoming the next.
    pub(crate) fn editor_not_recorded(editor: &str) -> Self {
        Self::new(
            Code::Conflict,
            Text::new(
                format!("{editor} 的上一次修改尚未登记，暂不能由他人修改。"),
                format!("The last edit, by {editor}, is not recorded yet; until it is, nobody else can edit."),
            ),
        )
        .with_remedy(Text::new("请稍候重试。", "Try again in a moment."))
    }

    /// The order cannot be edited now.
    pub(crate) fn request_frozen(phase: &str) -> Self {
        Self::new(
            Code::RequestFrozen,
            Text::new(
                format!("申请单当前状态为 {phase}，内容不可修改；仅 Draft 和 ReturnedForCorrection 状态可修改。"),
                format!("The request is {phase} and cannot be edited; only a Draft or one ReturnedForCorrection can."),
            ),
        )
    }

    /// The request is not before an approver, or already is.
    pub(crate) fn not_under_review(phase: &str) -> Self {
        Self::new(
            Code::NotUnderReview,
            Text::new(
                format!("申请单当前状态为 {phase}，不在审批中。"),
                format!("The request is {phase}, not under review."),
            ),
        )
    }

    /// Another stage is open.
    pub(crate) fn stage_not_open(asked: &str, open: &str) -> Self {
        Self::new(
            Code::StageNotOpen,
            Text::new(
                format!("环节 {asked} 未开放，当前开放的环节是 {open}。"),
                format!("The stage {asked} is not open; {open} is."),
            ),
        )
    }

    /// No stage is open at this moment.
    pub(crate) fn no_stage_open() -> Self {
        Self::new(Code::StageNotOpen, Text::new("当前没有开放的审批环节。", "No stage is open at this moment."))
    }

    /// The order under review is another one.
    pub(crate) fn order_changed() -> Self {
        Self::new(
            Code::OrderChanged,
            Text::new(
                "申请单当前内容与审批中的内容不一致。",
                "What the request holds now is not what is under review.",
            ),
        )
    }

    /// The request has come to its end.
    pub(crate) fn request_closed(phase: &str) -> Self {
        Self::new(
            Code::RequestClosed,
            Text::new(
                format!("申请单当前状态为 {phase}，不能再执行此操作。"),
                format!("The request is {phase}; this can no longer be done."),
            ),
        )
    }

    /// There is no delivery to confirm.
    pub(crate) fn nothing_to_confirm(phase: &str) -> Self {
        Self::new(
            Code::NothingToConfirm,
            Text::new(
                format!("申请单当前状态为 {phase}，没有可确认的交付。"),
                format!("The request is {phase}; there is no delivery to confirm."),
            ),
        )
    }

    /// The grant is ended or being ended.
    pub(crate) fn grant_not_live(name: &str, phase: &str) -> Self {
        Self::new(
            Code::GrantNotLive,
            Text::new(
                format!("资源授予 {name} 当前状态为 {phase}，不能再次撤销。"),
                format!("The grant {name} is {phase} and cannot be revoked again."),
            ),
        )
    }

    /// The run came to its end before.
    pub(crate) fn run_ended(noun: Noun, name: &str, phase: &str) -> Self {
        Self::new(
            Code::RunEnded,
            Text::new(
                format!("{} {name} 已结束，状态为 {phase}，不能再取消。", noun.zh()),
                format!("The {} {name} ended as {phase} and cannot be cancelled any more.", noun.en()),
            ),
        )
    }

    /// The migration is past what is asked for.
    pub(crate) fn migration_ended(name: &str, stage: &str) -> Self {
        Self::new(
            Code::RunEnded,
            Text::new(
                format!("系统迁移 {name} 已到 {stage}，不能再签署或取消。"),
                format!("The migration {name} has come to {stage}: it cannot be signed or cancelled any more."),
            ),
        )
    }

    /// The system runs on the cloud: there is something to lose.
    pub(crate) fn runs_on_cloud(name: &str, stage: &str) -> Self {
        let zh = format!("系统迁移 {name} 已到 {stage}，系统在云上运行，不能放弃迁移；如需回退，请签署 rollback。");
        let en = format!("The system of migration {name} runs on the cloud ({stage}): to go back, sign with rollback.");
        Self::new(Code::RunEnded, Text::new(zh, en))
    }

    /// The signature would do nothing.
    pub(crate) fn signature_not_counted(name: &str) -> Self {
        Self::new(
            Code::SignatureNotCounted,
            Text::new(
                format!("对系统迁移 {name} 的签署不会生效，未作记录。"),
                format!("The signature would not count for the migration {name}; it was not recorded."),
            ),
        )
    }

    /// What was seen is not what is there.
    pub(crate) fn precondition_failed(current: &str) -> Self {
        Self::new(
            Code::PreconditionFailed,
            Text::new(
                format!("该对象在您读取之后已变化，当前 ETag 为 {current}。"),
                format!("It has changed since you read it; its ETag is {current}."),
            ),
        )
    }

    /// Runs of the plan are under way, which read its key and its copies.
    pub(crate) fn plan_in_use(name: &str, runs: &[String]) -> Self {
        let listed = runs.join(", ");
        Self::new(
            Code::PlanInUse,
            Text::new(
                format!("灾备方案 {name} 尚有任务在进行：{listed}。"),
                format!("Runs of recovery plan {name} are under way: {listed}."),
            ),
        )
    }

    /// The request does not say what was seen.
    pub(crate) fn precondition_required() -> Self {
        Self::new(
            Code::PreconditionRequired,
            Text::new(
                "此操作必须在 If-Match 中携带所见内容的 ETag，且不接受 *。",
                "This needs If-Match with the ETag of what was seen; * is not accepted.",
            ),
        )
    }

    /// The API failed; the cause goes to the log only.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!("a request failed inside: {cause}");
        Self::new(Code::Internal, Text::new("服务内部出错。", "The service failed."))
    }

    /// Too many requests at once.
    pub(crate) fn overloaded() -> Self {
        Self::new(Code::Overloaded, Text::new("同时处理的请求过多。", "Too many requests are being served at once."))
    }

    /// The caches are not filled yet.
    pub(crate) fn not_ready() -> Self {
        Self::new(
            Code::NotReady,
            Text::new("服务正在读取数据，尚未就绪。", "The service is still reading its data and is not ready."),
        )
    }

    /// The hub does not answer; the cause goes to the log only.
    pub(crate) fn hub_unavailable(cause: &dyn std::fmt::Display) -> Self {
        tracing::warn!("a call to the hub failed: {cause}");
        Self::new(Code::HubUnavailable, Text::new("管理集群暂时没有响应。", "The hub does not answer at the moment."))
    }

    /// It took too long.
    pub(crate) fn timeout() -> Self {
        Self::new(Code::Timeout, Text::new("请求未能在规定时间内完成。", "The request was not done in time."))
    }
}

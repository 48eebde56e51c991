//! A request as it stands in answers.

use serde::Serialize;
use utoipa::ToSchema;
use zhengyun_crds::ResourceRequest as Resource;
use zhengyun_crds::request as crd;

use super::order::{Material, Order};
use super::phase;
use super::preview::{AncestorEffect, Preview, StageRef};
use crate::etag::Tag;
use crate::names::department_of;
use crate::shapes::{self, Amounts, Condition, Readiness};
use crate::words::{ActionWord, RequestPhaseWord, VerdictWord};

/// A request in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestSummary {
    /// Department that it belongs to.
    department: String,
    /// Its name.
    name: String,
    /// ETag for corrections and decisions.
    etag: String,
    /// What is asked for.
    #[schema(value_type = ActionWord)]
    action: String,
    /// Information system that the resources are for.
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    /// Site.
    site: String,
    /// Where it stands.
    #[schema(value_type = RequestPhaseWord)]
    phase: String,
    /// Stage that is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
    /// Grant that came of it, or that it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    /// Who created it.
    requested_by: String,
    /// Whether it is as intended; a request that waits for a person is.
    ready: Readiness,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
}

/// A change order of a department (资源申请单).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    /// Department that it belongs to.
    department: String,
    /// Its name.
    name: String,
    /// Its UID: a request made again under the same name is another one.
    uid: String,
    /// ETag for corrections and decisions; the same as in the ETag header.
    etag: String,
    /// What is asked for.
    order: Order,
    /// Documents that go with it.
    materials: Vec<Material>,
    /// How often it was submitted.
    submission: i64,
    /// Whether it was taken back.
    withdrawn: bool,
    /// Whether the department confirmed the delivery.
    delivery_confirmed: bool,
    /// Who created it.
    requested_by: String,
    /// Who wrote it last.
    edited_by: String,
    /// Everybody who ever wrote it; none of them may decide it.
    editors: Vec<String>,
    /// Where it stands.
    #[schema(value_type = RequestPhaseWord)]
    phase: String,
    /// What would happen on submission, while it is not submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<Preview>,
    /// What was submitted: it is what is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<Review>,
    /// Stage that is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<OpenStage>,
    /// Decisions that counted, oldest first.
    decisions: Vec<Decision>,
    /// Why the last submission was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal>,
    /// When it was returned for correction.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    returned_at: Option<String>,
    /// What it holds in reserve at the department and its ancestors.
    reserved: Amounts,
    /// Grant that came of it, or that it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
    /// What the operator says about it.
    conditions: Vec<Condition>,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
}

/// What was submitted, pinned.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Review {
    /// Digest of the order and its documents.
    order_digest: String,
    /// Counts submissions that entered review.
    round: i64,
    /// Approval policy that it follows.
    policy: String,
    /// Stages that apply, in order.
    stages: Vec<StageRef>,
    /// Revisions of the services that it was submitted with.
    items: Vec<ItemRevision>,
    /// What is charged.
    charge: Amounts,
    /// Whether the department must confirm the delivery.
    confirm: bool,
}

/// A revision of a service.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ItemRevision {
    /// Service of the catalogue.
    pub(crate) item: String,
    /// Generation of its definition.
    pub(crate) generation: i64,
    /// SHA-256 of its definition.
    pub(crate) digest: String,
}

/// The stage that is open.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenStage {
    /// Its name.
    name: String,
    /// Its place among the stages, from 0.
    index: i32,
    /// When it was opened.
    #[schema(format = DateTime)]
    opened_at: String,
}

/// A decision that counted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Decision {
    /// Review round.
    round: i64,
    /// Stage.
    stage: String,
    /// Who decided.
    approver: String,
    /// What was decided.
    #[schema(value_type = VerdictWord)]
    verdict: String,
    /// Reason given.
    reason: String,
    /// Digest of the order that was decided on.
    order_digest: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
}

/// Why a submission was refused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refusal {
    /// Submission that was refused.
    submission: i64,
    /// Stable code.
    #[schema(example = "QuotaExceeded")]
    reason: String,
    /// What is missing where, with the numbers and the fix.
    message: String,
    /// Every department or site at which it does not fit.
    shortfalls: Vec<AncestorEffect>,
}

impl From<&Resource> for RequestSummary {
    fn from(request: &Resource) -> Self {
        let (spec, status) = (&request.spec, request.status.as_ref());
        Self {
            department: department(request),
            name: shapes::name(&request.metadata),
            etag: Tag::of(request).as_str().to_owned(),
            action: spec.order.action.to_string(),
            system: spec.order.system.clone(),
            site: spec.order.site.clone(),
            phase: phase(request).to_string(),
            stage: status.and_then(|s| s.stage.as_ref()).map(|s| s.name.clone()),
            grant: status.and_then(|s| s.grant.clone()),
            requested_by: spec.requested_by.clone(),
            ready: shapes::readiness(status.map(|s| &s.conditions)),
            created_at: shapes::created(&request.metadata),
        }
    }
}

impl From<&Resource> for Request {
    fn from(request: &Resource) -> Self {
        let spec = &request.spec;
        let status = request.status.clone().unwrap_or_default();
        Self {
            department: department(request),
            name: shapes::name(&request.metadata),
            uid: request.metadata.uid.clone().unwrap_or_default(),
            etag: Tag::of(request).as_str().to_owned(),
            order: (&spec.order).into(),
            materials: spec.materials.iter().map(Material::from).collect(),
            submission: spec.submission,
            withdrawn: spec.withdrawn,
            delivery_confirmed: spec.delivery_confirmed,
            requested_by: spec.requested_by.clone(),
            edited_by: spec.edited_by.clone(),
            phase: phase(request).to_string(),
            preview: status.preview.map(Preview::checked),
            review: status.review.map(Review::from),
            stage: status.stage.map(OpenStage::from),
            decisions: status.decisions.into_iter().map(Decision::from).collect(),
            editors: status.editors,
            refusal: status.refusal.map(Refusal::from),
            returned_at: status.returned_at.as_ref().map(shapes::moment),
            reserved: status.charge.map(|c| shapes::amounts(&c.reserved)).unwrap_or_default(),
            grant: status.grant,
            conditions: shapes::conditions(Some(&status.conditions)),
            created_at: shapes::created(&request.metadata),
        }
    }
}

fn department(request: &Resource) -> String {
    request.metadata.namespace.as_deref().and_then(department_of).unwrap_or_default().to_owned()
}

impl From<crd::Review> for Review {
    fn from(review: crd::Review) -> Self {
        Self {
            order_digest: review.order_digest,
            round: review.round,
            policy: review.policy.name,
            stages: review.stages.into_iter().map(StageRef::from).collect(),
            items: review.items.into_iter().map(ItemRevision::from).collect(),
            charge: shapes::amounts(&review.charge),
            confirm: review.confirm,
        }
    }
}

impl From<crd::ItemRevision> for ItemRevision {
    fn from(revision: crd::ItemRevision) -> Self {
        Self { item: revision.item, generation: revision.generation, digest: revision.digest }
    }
}

impl From<crd::OpenStage> for OpenStage {
    fn from(stage: crd::OpenStage) -> Self {
        Self { name: stage.name, index: stage.index, opened_at: shapes::moment(&stage.opened_at) }
    }
}

impl From<crd::Decision> for Decision {
    fn from(decision: crd::Decision) -> Self {
        Self {
            round: decision.round,
            stage: decision.stage,
            approver: decision.approver,
            verdict: decision.verdict.to_string(),
            reason: decision.reason,
            order_digest: decision.order_digest,
            at: shapes::moment(&decision.at),
        }
    }
}

impl From<crd::Refusal> for Refusal {
    fn from(refusal: crd::Refusal) -> Self {
        Self {
            submission: refusal.submission,
            reason: refusal.reason,
            message: refusal.message,
            shortfalls: refusal.shortfalls.into_iter().map(AncestorEffect::from).collect(),
        }
    }
}

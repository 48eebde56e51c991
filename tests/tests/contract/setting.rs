//! What the cases find at the hub: requests in every state that a route needs, and a grant.

use anyhow::{Context as _, Result};
use kube::Api;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use zhengyun_crds::{ApprovalPolicy, ConditionType, RequestPhase, condition};
use zhengyun_tests::lab::wait::settled;
use zhengyun_tests::town::{SOON, Town};
use zhengyun_tests::world;

use crate::{migration, plans, recovery};

/// The department that the cases are about.
pub(crate) const DEPARTMENT: &str = "emergency";
/// Its clerk.
pub(crate) const CLERK: &str = "clerk-emergency";
/// Its head.
pub(crate) const HEAD: &str = "head-emergency";
/// A request that stays a draft.
pub(crate) const DRAFT: &str = "contract-draft";
/// A draft to submit.
pub(crate) const TO_SUBMIT: &str = "contract-to-submit";
/// A draft to take back.
pub(crate) const TO_WITHDRAW: &str = "contract-to-withdraw";
/// A request before the head of the department.
pub(crate) const TO_DECIDE: &str = "contract-to-decide";
/// A request that led to a grant, whose delivery is not confirmed.
pub(crate) const GRANTED: &str = "contract-granted";

/// What the cases need to know of it.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The grant of [`GRANTED`].
    pub(crate) grant: String,
    /// ETag of [`DRAFT`].
    pub(crate) draft: String,
    /// ETag of [`TO_DECIDE`].
    pub(crate) to_decide: String,
    /// ETag of the recovery plan that stays.
    pub(crate) plan: String,
    /// What can be signed under migrations.
    pub(crate) digests: migration::Digests,
}

impl Setting {
    /// Writes the requests as the people who may, and waits until each stands where it must.
    pub(crate) async fn prepare(town: &Town) -> Result<Self> {
        without_stages(town).await?;
        let clerk = town.door(CLERK)?;
        for name in [DRAFT, TO_SUBMIT, TO_WITHDRAW, TO_DECIDE] {
            clerk.create(DEPARTMENT, name, &order("smart-emergency", "1", "Standard")).await?;
        }
        clerk.create(DEPARTMENT, GRANTED, &order("smart-emergency", "1", "Test")).await?;
        clerk.submit(DEPARTMENT, TO_DECIDE).await?;
        clerk.submit(DEPARTMENT, GRANTED).await?;
        let finance = town.door("clerk-finance")?;
        finance.create("finance", "contract-finance", &order("finance-e-invoice", "1", "Standard")).await?;
        let banner = "hohhot-xinchengqu-education";
        let school = town.door("clerk-xinchengqu-education")?;
        school.create(banner, "contract-school", &order("school-portal", "1", "Standard")).await?;

        town.in_phase(DEPARTMENT, TO_DECIDE, RequestPhase::InReview).await?;
        let granted = town.in_phase(DEPARTMENT, GRANTED, RequestPhase::Applied).await?;
        let grant = granted.status.and_then(|s| s.grant).context("an applied request names its grant")?;
        // The cases read from the API, whose cache hears of the operator's writes a moment later.
        settled("the API shows review and grant", SOON, || async {
            let shown = clerk.get(&path(TO_DECIDE)).await?["stage"]["name"] == "department"
                && clerk.get(&path(GRANTED)).await?["phase"] == "Applied"
                && clerk.get(&format!("/api/v1/departments/{DEPARTMENT}/grants/{grant}")).await.is_ok();
            Ok(if shown { Ok(()) } else { Err("not yet".to_owned()) })
        })
        .await?;
        recovery::prepare(town, &grant).await?;
        let digests = migration::prepare(town).await?;
        Ok(Self {
            draft: clerk.etag(DEPARTMENT, DRAFT).await?,
            to_decide: clerk.etag(DEPARTMENT, TO_DECIDE).await?,
            plan: plans::tag_of(town, recovery::PLAN).await?,
            grant,
            digests,
        })
    }
}

/// Path of a request of the department.
pub(crate) fn path(name: &str) -> String {
    format!("/api/v1/departments/{DEPARTMENT}/requests/{name}")
}

/// An order for a container space at hohhot.
pub(crate) fn order(system: &str, cpu: &str, class: &str) -> Value {
    json!({
        "action": "Create", "system": system, "site": "hohhot", "class": class, "justification": "a case of the contract",
        "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": cpu, "memory": "1Gi" } }]
    })
}

/// The order of the department's drafts.
pub(crate) fn own_order() -> Value {
    order("smart-emergency", "1", "Standard")
}

/// A policy that needs nobody for orders of the class Test, so that a grant costs no round of decisions.
async fn without_stages(town: &Town) -> Result<()> {
    let policy: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "ApprovalPolicy", "metadata": { "name": "contract" },
        "spec": {
            "displayNames": { "zh-CN": { "full": "测试用免审批" }, "en": { "full": "No stages, for the contract" } },
            "match": "request.action == 'Create' && request.class == 'Test'", "priority": 900,
            "autoApprove": { "basis": "a test" }, "confirm": "Department", "holdSeconds": 0
        }
    }))?;
    world::apply(&town.client_of("cloud-admin")?, &[policy]).await?;
    let policies: Api<ApprovalPolicy> = Api::all(town.admin()?);
    settled("the policy without stages in force", SOON, || async {
        let status = policies.get("contract").await?.status.unwrap_or_default();
        let ready = condition::is_true(&status.conditions, ConditionType::Ready);
        Ok(if ready { Ok(()) } else { Err(format!("{:?}", status.conditions)) })
    })
    .await
}

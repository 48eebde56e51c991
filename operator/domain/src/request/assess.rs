//! What a submission would mean: its charge, what would be delivered, who must agree, and everything that stands in the way.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use zhengyun_crds::catalog::CatalogItem;
use zhengyun_crds::condition::is_true;
use zhengyun_crds::department::Department;
use zhengyun_crds::grant::{Bundle, GrantPhase, ResourceGrant};
use zhengyun_crds::policy::ApprovalPolicy;
use zhengyun_crds::request::{Action, Finding, ItemRevision, Material, Order};
use zhengyun_crds::site::Site;
use zhengyun_crds::system::InformationSystem;
use zhengyun_crds::{ConditionType, Reason};

use crate::amounts::Amounts;
use crate::policy::{self, Selected};
use crate::{catalog, digest, eligibility, quota};

/// A request as it was written.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// Department that it charges.
    pub department: &'a str,
    /// Name of the grant that a Create leads to.
    pub grant_name: &'a str,
    /// Who created it.
    pub requested_by: &'a str,
    /// The order.
    pub order: &'a Order,
    /// Its documents.
    pub materials: &'a [Material],
}

/// What a submission is judged by.
#[derive(Clone, Debug, Default)]
pub struct Surroundings<'a> {
    /// The department.
    pub department: Option<&'a Department>,
    /// The information system named in the order.
    pub system: Option<&'a InformationSystem>,
    /// The site named in the order.
    pub site: Option<&'a Site>,
    /// The catalogue items named in the order, by name.
    pub items: BTreeMap<String, &'a CatalogItem>,
    /// All approval policies.
    pub policies: Vec<&'a ApprovalPolicy>,
    /// The grant named in the order.
    pub grant: Option<&'a ResourceGrant>,
}

/// The result.
#[derive(Clone, Debug, Default)]
pub struct Assessment {
    /// Digest of the order and its documents.
    pub order_digest: String,
    /// What would be charged.
    pub charge: Amounts,
    /// What would be delivered.
    pub bundle: Bundle,
    /// Item revisions that it is based on.
    pub items: Vec<ItemRevision>,
    /// Policy that applies.
    pub policy: Option<Selected>,
    /// What stands in the way; empty when it may be submitted.
    pub findings: Vec<Finding>,
}

/// `sha256:<hex>` of what approvers decide on: the order without its justification, and the documents.
pub fn order_digest(order: &Order, materials: &[Material]) -> String {
    let mut order = serde_json::to_value(order).unwrap_or(Value::Null);
    if let Some(fields) = order.as_object_mut() {
        fields.remove("justification");
    }
    digest::of(&json!({ "order": order, "materials": materials }))
}

/// Assesses a submission. The operator reserves by it, the API shows it as a dry run: one code path.
pub fn assess(submission: &Submission<'_>, around: &Surroundings<'_>) -> Assessment {
    let order = submission.order;
    let mut result = Assessment { order_digest: order_digest(order, submission.materials), ..Assessment::default() };
    match order.action {
        Action::Create => assess_create(submission, around, &mut result),
        Action::Revoke => assess_revoke(order, around, &mut result.findings),
        Action::Change | Action::Renew => result.findings.push(finding(
            "/order/action",
            Reason::ActionNotAvailable,
            format!("{} is not available in this version; use Create or Revoke", order.action),
        )),
    }
    if around.department.is_none() {
        let message =
            format!("department {} does not exist; ask the cloud administrator to register it", submission.department);
        result.findings.push(finding("", Reason::DepartmentNotFound, message));
    }
    select_policy(submission, around, &mut result);
    result
}

fn assess_create(submission: &Submission<'_>, around: &Surroundings<'_>, result: &mut Assessment) {
    let order = submission.order;
    if let Some(site) = around.site {
        guard_system(order, around.system, site, &mut result.findings);
    } else {
        result.findings.push(finding(
            "/order/site",
            Reason::SiteNotFound,
            format!("there is no site {}; choose one of `kubectl get sites`", order.site),
        ));
    }
    for (at, line) in order.items.iter().enumerate() {
        let pointer = format!("/order/items/{at}");
        let Some(item) = around.items.get(&line.item) else {
            let message = format!("there is no catalogue item {}; choose one of `kubectl get catalogitems`", line.item);
            result.findings.push(finding(&format!("{pointer}/item"), Reason::ItemNotFound, message));
            continue;
        };
        if !item.spec.sites.is_empty() && !item.spec.sites.contains(&order.site) {
            let message = format!(
                "{} is not offered at {}; it is offered at {}",
                line.item,
                order.site,
                item.spec.sites.join(", ")
            );
            result.findings.push(finding(&format!("{pointer}/item"), Reason::ItemNotOffered, message));
        }
        let context = catalog::LineContext {
            department: submission.department,
            system: order.system.as_deref().unwrap_or_default(),
            grant: submission.grant_name,
            line,
            pointer: &pointer,
        };
        match catalog::render(item, &context) {
            Ok(rendered) => {
                result.items.push(catalog::revision(item));
                absorb(result, rendered, &pointer);
            }
            Err(findings) => result.findings.extend(findings),
        }
    }
    result.items.dedup();
}

fn absorb(result: &mut Assessment, rendered: catalog::Rendered, pointer: &str) {
    match result.charge.checked_add(&rendered.charge) {
        Ok(sum) => result.charge = sum,
        Err(e) => result.findings.push(finding(
            pointer,
            Reason::Invalid,
            format!("the charges add up to more than an amount can be: {e}"),
        )),
    }
    match catalog::merge(&mut result.bundle, rendered.bundle) {
        Ok(()) => {}
        Err(message) => result.findings.push(finding(pointer, Reason::TemplateRefused, message)),
    }
}

fn guard_system(order: &Order, system: Option<&InformationSystem>, site: &Site, findings: &mut Vec<Finding>) {
    let Some(system) = system else {
        let name = order.system.as_deref().unwrap_or_default();
        let message = format!("the department has no information system {name}; register it first (InformationSystem)");
        findings.push(finding("/order/system", Reason::SystemNotFound, message));
        return;
    };
    let spec = &system.spec;
    let name = spec.display_names.zh_short();
    if spec.classified {
        let message =
            format!("{name} handles state secrets (涉密) and may not use this cloud; use a classified network");
        findings.push(finding("/order/system", Reason::Classified, message));
    }
    for (reason, message) in eligibility::unfit(spec, &order.site, &site.spec) {
        findings.push(finding("/order/site", reason, message));
    }
}

fn assess_revoke(order: &Order, around: &Surroundings<'_>, findings: &mut Vec<Finding>) {
    let name = order.grant.as_deref().unwrap_or_default();
    let Some(grant) = around.grant else {
        findings.push(finding(
            "/order/grant",
            Reason::GrantNotFound,
            format!("the department holds no grant {name}; see `kubectl get resourcegrants`"),
        ));
        return;
    };
    let phase = grant.status.as_ref().and_then(|s| s.phase).unwrap_or(GrantPhase::Pending);
    if !matches!(phase, GrantPhase::Provisioning | GrantPhase::InService) || grant.spec.revocation.is_some() {
        findings.push(finding(
            "/order/grant",
            Reason::GrantNotLive,
            format!("grant {name} is {phase}, so there is nothing to revoke"),
        ));
    }
    if grant.spec.site != order.site {
        findings.push(finding(
            "/order/site",
            Reason::Invalid,
            format!("grant {name} is at {}, not at {}; set site to {}", grant.spec.site, order.site, grant.spec.site),
        ));
    }
    if order.base_revision.is_some_and(|base| base != grant.spec.revision) {
        let message = format!(
            "baseRevision is {}, grant {name} is at revision {}; read the grant again and set baseRevision to {}",
            order.base_revision.unwrap_or_default(),
            grant.spec.revision,
            grant.spec.revision
        );
        findings.push(finding("/order/baseRevision", Reason::StaleRevision, message));
    }
}

fn select_policy(submission: &Submission<'_>, around: &Surroundings<'_>, result: &mut Assessment) {
    let context = policy_context(submission, around, &result.charge);
    match policy::select(around.policies.iter().copied(), &context) {
        Ok(selected) => {
            for kind in &selected.required_materials {
                if !submission.materials.iter().any(|m| &m.kind == kind) {
                    let message = format!(
                        "approval policy {} requires a document of the kind {kind}; add it with its title, sha256 and reference",
                        selected.policy.name
                    );
                    result.findings.push(finding("/materials", Reason::Invalid, message));
                }
            }
            result.policy = Some(selected);
        }
        Err(error) => result.findings.push(finding("", error.reason(), error.to_string())),
    }
}

/// The variables of a policy's expressions: `request`, `department`, `system`, `charge`.
fn policy_context(submission: &Submission<'_>, around: &Surroundings<'_>, charge: &Amounts) -> Value {
    let order = submission.order;
    let department = around.department.map_or(json!({}), |d| {
        json!({ "name": submission.department, "type": d.spec.type_, "level": d.spec.level, "parent": d.spec.parent })
    });
    let system = around.system.map_or(json!({}), |s| {
        json!({
            "name": order.system, "protectionLevel": s.spec.protection.level, "dataClass": s.spec.data_class,
            "criticalInfrastructure": s.spec.critical_infrastructure, "zone": s.spec.zone
        })
    });
    let items: Vec<&str> = order.items.iter().map(|i| i.item.as_str()).collect();
    json!({
        "request": {
            "action": order.action, "site": order.site, "class": order.class, "items": items,
            "byAuthority": order.authority_order.is_some(), "requestedBy": submission.requested_by
        },
        "department": department,
        "system": system,
        "charge": quota::texts(charge)
    })
}

/// A finding under the code of a condition reason.
pub(crate) fn finding(pointer: &str, rule: Reason, message: String) -> Finding {
    Finding {
        pointer: pointer.to_owned(),
        rule: rule.as_str().to_owned(),
        message: crate::condition::cut(message, 1000),
    }
}

/// Whether a catalogue item can be ordered: it was looked at since its last change and found good.
pub(crate) fn item_is_ready(item: &CatalogItem) -> bool {
    item.status.as_ref().is_some_and(|s| {
        s.observed_generation == item.metadata.generation.unwrap_or_default()
            && is_true(&s.conditions, ConditionType::Ready)
    })
}

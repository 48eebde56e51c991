//! What a decision about a request is made from.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use zhengyun_crds::approval::Approval;
use zhengyun_crds::request::{Action, AncestorEffect, Finding, RequestPhase, ResourceRequest};
use zhengyun_crds::{GROUP, Reason, ResourceGrant, marks};
use zhengyun_domain::approval::Candidate;
use zhengyun_domain::ledger::{Charge, Refusal};
use zhengyun_domain::request::{Assessment, Observed, Submission, Surroundings, assess};
use zhengyun_domain::seeded::{self, Bug};
use zhengyun_domain::{delivery, naming};

use super::super::{Context, department_of, enforcement};
use super::{change, phase};
use crate::runtime::controller::ReconcileError;
use crate::runtime::hub::has_finalizer;
use crate::site::driver::SiteDriver;

/// Everything that was observed, owned.
pub(super) struct Facts {
    department: String,
    assessment: Option<Assessment>,
    effects: Vec<AncestorEffect>,
    site_findings: Vec<Finding>,
    site_unchecked: Option<String>,
    refusal: Option<Refusal>,
    approvals: Vec<(Arc<Approval>, bool)>,
    grant: Option<ResourceGrant>,
    not_enforced: Option<String>,
    booked: Charge,
}

impl Facts {
    /// The facts as the domain reads them.
    pub(super) fn observed<'a>(&'a self, request: &'a ResourceRequest) -> Observed<'a> {
        Observed {
            request,
            department: &self.department,
            assessment: self.assessment.as_ref(),
            effects: &self.effects,
            site_findings: &self.site_findings,
            site_unchecked: self.site_unchecked.as_deref(),
            refusal: self.refusal.as_ref(),
            candidates: self
                .approvals
                .iter()
                .map(|(approval, entitled)| Candidate { approval, entitled: *entitled })
                .collect(),
            grant: self.grant.as_ref(),
            not_enforced: self.not_enforced.as_deref(),
            booked: &self.booked,
        }
    }
}

/// Observes: cached reads for the assessment, fresh ones for what a commit rests on.
pub(super) async fn observe(
    context: &Context,
    request: &ResourceRequest,
    namespace: &str,
) -> Result<Facts, ReconcileError> {
    let department = department_of(namespace).to_owned();
    let uid = request.uid().unwrap_or_default();
    let order = &request.spec.order;
    let booked = context.ledger.site(&order.site).map(|l| l.booked(&uid)).unwrap_or_default();
    let phase = phase(request);
    let name = request.name_any();
    let grant_name = match order.action {
        Action::Create => naming::grant_name(&name, &uid),
        _ => order.grant.clone().unwrap_or_default(),
    };
    let wants_grant = order.action != Action::Create || matches!(phase, RequestPhase::Approved | RequestPhase::Applied);
    let grants: Api<ResourceGrant> = context.namespaced(namespace);
    let submitted = request.spec.submission > request.status.as_ref().map_or(0, |s| s.submission);
    let grant = if !wants_grant || !naming::is_label(&grant_name) {
        None
    } else if order.action == Action::Create && phase == RequestPhase::Approved {
        // One that the watch has not shown yet is found when it is made.
        context.watches.grants.get_in(namespace, &grant_name).map(|g| g.as_ref().clone())
    } else if phase == RequestPhase::Approved || submitted {
        // What a grant is at this moment decides whether it can be ended, or whether the order is refused for good.
        let ordered = context.watches.grants.get_in(namespace, &grant_name).filter(|g| is_ordered_by(g, &uid));
        match ordered {
            Some(ordered) => Some(ordered.as_ref().clone()),
            None => grants.get_opt(&grant_name).await?,
        }
    } else {
        let seen = context.watches.grants.get_in(namespace, &grant_name);
        fresh(&grants, seen, &grant_name).await?.map(|g| g.as_ref().clone())
    };
    let editable = matches!(phase, RequestPhase::Draft | RequestPhase::ReturnedForCorrection);
    let mut facts = Facts {
        department,
        assessment: None,
        effects: Vec::new(),
        site_findings: Vec::new(),
        site_unchecked: None,
        refusal: None,
        approvals: Vec::new(),
        grant,
        not_enforced: None,
        booked,
    };
    if editable {
        let mut assessment = assess_with(context, request, namespace, &facts, &grant_name, Reads::Watched).await?;
        if submitted && !assessment.findings.is_empty() {
            // The refusal will stand until somebody submits again, so it does not rest on what a watch has not shown yet.
            assessment = assess_with(context, request, namespace, &facts, &grant_name, Reads::Anew).await?;
        }
        if let Ok(ledger) = context.ledger.site(&order.site) {
            facts.effects = ledger.effects(&facts.department, &assessment.charge);
            // A claimed one goes to the ledger's writer, and one with findings to nobody: neither is asked about, or counted, twice.
            let unclaimed = !has_finalizer(request, marks::FINALIZER_CHARGE) && facts.booked.is_zero();
            if submitted && unclaimed && assessment.findings.is_empty() {
                let reservation = Charge::reserved(assessment.charge.clone());
                facts.refusal = ledger.would_refuse(&[change(request, &facts.department, reservation)]);
            }
        }
        match try_at_site(context, request, namespace, &grant_name, &assessment).await {
            Ok(findings) => facts.site_findings = findings,
            Err(why) => facts.site_unchecked = Some(why),
        }
        facts.assessment = Some(assessment);
    }
    if (editable || phase == RequestPhase::InReview) && !seeded::is(Bug::GuardsNotLookedFor) {
        facts.not_enforced = enforcement::not_enforced(context);
    }
    if phase == RequestPhase::InReview && facts.not_enforced.is_none() {
        facts.approvals = candidates(context, request, namespace).await?;
    }
    Ok(facts)
}

/// Whether a grant already shows the order to end it: nothing but a withdrawal of that order takes it off again.
fn is_ordered_by(grant: &ResourceGrant, request: &str) -> bool {
    grant.spec.revocation.as_ref().is_some_and(|r| r.request.uid == request)
}

/// What the cache has of an object, or else the hub: a refusal stands until somebody submits again, so nothing is said to be
/// missing because a watch is late.
async fn fresh<K>(api: &Api<K>, seen: Option<Arc<K>>, name: &str) -> Result<Option<Arc<K>>, ReconcileError>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    // What is no name leads to another path, and cannot be there.
    if seen.is_some() || !naming::is_label(name) {
        return Ok(seen);
    }
    Ok(api.get_opt(name).await?.map(Arc::new))
}

/// Where what an order names is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// In the watches; at the hub what they do not have.
    Watched,
    /// At the hub.
    Anew,
}

async fn assess_with(
    context: &Context,
    request: &ResourceRequest,
    namespace: &str,
    facts: &Facts,
    grant_name: &str,
    reads: Reads,
) -> Result<Assessment, ReconcileError> {
    let watched = reads == Reads::Watched;
    let order = &request.spec.order;
    let watches = &context.watches;
    let department = watches.departments.get(&facts.department);
    let system = match order.system.as_deref() {
        Some(name) => {
            let seen = watches.systems.get_in(namespace, name).filter(|_| watched);
            fresh(&context.namespaced(namespace), seen, name).await?
        }
        None => None,
    };
    let site = fresh(&context.cluster(), watches.sites.get(&order.site).filter(|_| watched), &order.site).await?;
    let mut items = Vec::new();
    for line in &order.items {
        let seen = watches.items.get(&line.item).filter(|_| watched);
        items.extend(fresh(&context.cluster(), seen, &line.item).await?);
    }
    let policies = watches.policies.all();
    let around = Surroundings {
        department: department.as_deref(),
        system: system.as_deref(),
        site: site.as_deref(),
        items: items.iter().map(|i| (i.name_any(), i.as_ref())).collect::<BTreeMap<_, _>>(),
        policies: policies.iter().map(AsRef::as_ref).collect(),
        grant: facts.grant.as_ref(),
    };
    let submission = Submission {
        department: &facts.department,
        grant_name,
        requested_by: &request.spec.requested_by,
        order,
        materials: &request.spec.materials,
    };
    Ok(assess(&submission, &around))
}

/// Tries the rendered objects at the site, with server-side dry run. Needed to submit; for a draft only when its order changed.
/// An error says why the site could not be asked.
async fn try_at_site(
    context: &Context,
    request: &ResourceRequest,
    namespace: &str,
    grant_name: &str,
    assessment: &Assessment,
) -> Result<Vec<Finding>, String> {
    if assessment.bundle.objects.is_empty() || !assessment.findings.is_empty() {
        return Ok(Vec::new());
    }
    let status = request.status.as_ref();
    let submitted = request.spec.submission > status.map_or(0, |s| s.submission);
    let known = status.and_then(|s| s.preview.as_ref()).filter(|p| p.order_digest == assessment.order_digest);
    if let (Some(preview), false) = (known, submitted) {
        return Ok(preview.findings.iter().filter(|f| f.rule == Reason::DryRunRefused.as_str()).cloned().collect());
    }
    let site = &request.spec.order.site;
    let Some(link) = context.links.get(site) else {
        return Err(format!("site {site} is not connected; see `kubectl get site {site} -o wide`"));
    };
    let mut pretended = ResourceGrant::new(grant_name, pretended_spec(request, namespace, assessment));
    pretended.metadata.namespace = Some(namespace.to_owned());
    let objects: Vec<_> = delivery::desired(&pretended, zhengyun_crds::marks::DRY_RUN_NAMESPACE, false)
        .into_iter()
        .filter(|d| {
            !d.entry.namespace.is_empty() && !d.entry.name.starts_with(zhengyun_crds::marks::SITE_OBJECT_PREFIX)
        })
        .collect();
    link.dry_run(&objects).await.map_err(|e| e.to_string())
}

fn pretended_spec(
    request: &ResourceRequest,
    namespace: &str,
    assessment: &Assessment,
) -> zhengyun_crds::ResourceGrantSpec {
    let order = &request.spec.order;
    zhengyun_crds::ResourceGrantSpec {
        department: department_of(namespace).to_owned(),
        system: order.system.clone().unwrap_or_default(),
        site: order.site.clone(),
        request: zhengyun_crds::grant::RequestRef { name: request.name_any(), uid: request.uid().unwrap_or_default() },
        revision: 1,
        class: order.class,
        lease_end: None,
        items: Vec::new(),
        charge: zhengyun_domain::quota::texts(&assessment.charge),
        bundle: assessment.bundle.clone(),
        confirm: false,
        revocation: None,
    }
}

/// The approvals that name the request, each with the operator's own question whether its author may decide.
async fn candidates(
    context: &Context,
    request: &ResourceRequest,
    namespace: &str,
) -> Result<Vec<(Arc<Approval>, bool)>, ReconcileError> {
    let name = request.name_any();
    let mut candidates = Vec::new();
    for approval in context.watches.approvals.all() {
        let ours = approval.namespace().as_deref() == Some(namespace) && approval.spec.request == name;
        let judged = approval.status.as_ref().is_some_and(|s| !s.conditions.is_empty());
        if ours && !judged {
            let entitled = is_entitled(context, &approval, namespace).await?;
            candidates.push((approval, entitled));
        }
    }
    Ok(candidates)
}

async fn is_entitled(context: &Context, approval: &Approval, namespace: &str) -> Result<bool, ReconcileError> {
    let spec = &approval.spec;
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(spec.approver.username.clone()),
            groups: Some(spec.approver.groups.clone()),
            resource_attributes: Some(ResourceAttributes {
                group: Some(GROUP.to_owned()),
                resource: Some("resourcerequests".to_owned()),
                subresource: Some(spec.stage.clone()),
                verb: Some("decide".to_owned()),
                namespace: Some(namespace.to_owned()),
                name: Some(spec.request.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = context.cluster();
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|s| s.allowed))
}

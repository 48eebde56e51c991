//! Approval policies: which one a request follows, and which of its stages apply.

use serde_json::Value;
use zhengyun_crds::Reason;
use zhengyun_crds::policy::{ApprovalPolicy, ApprovalPolicySpec, Confirmation, OnTimeout};
use zhengyun_crds::request::{PolicyRef, StageRef};

use crate::expression::{Bindings, CostLimits, Expression};

/// What a policy's expressions may look at.
const VARIABLES: [&str; 4] = ["request", "department", "system", "charge"];

/// The policy that a request follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Which.
    pub policy: PolicyRef,
    /// Stages that apply.
    pub stages: Vec<StageRef>,
    /// Basis on which no person needs to agree.
    pub auto_basis: Option<String>,
    /// Whether the department confirms the delivery.
    pub confirm: bool,
    /// Kinds of documents that must go with the request.
    pub required_materials: Vec<String>,
    /// Days after which a returned request loses its reservation.
    pub correction_days: i64,
    /// Seconds that a revocation is held.
    pub hold_seconds: i64,
}

/// Why no policy can be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// None matches.
    #[error(
        "no approval policy matches this request; the cloud administrator must add one (ApprovalPolicy) whose match covers it"
    )]
    None,
    /// Several of the same priority match.
    #[error(
        "the approval policies {0} match with the same priority {1}; the cloud administrator must give one of them a higher priority"
    )]
    Ambiguous(String, i32),
    /// An expression fails.
    #[error("approval policy {policy}, {field}: {cause}")]
    Expression {
        /// Policy.
        policy: String,
        /// Field.
        field: String,
        /// What is wrong.
        cause: String,
    },
    /// No stage applies although the policy has stages.
    #[error(
        "none of the stages of approval policy {0} applies to this request; a request without any decision needs a policy with autoApprove and its basis"
    )]
    NoStageApplies(String),
}

impl PolicyError {
    /// The condition reason.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::None | Self::NoStageApplies(_) => Reason::NoApprovalPolicy,
            Self::Ambiguous(..) => Reason::AmbiguousApprovalPolicy,
            Self::Expression { .. } => Reason::ExpressionFailed,
        }
    }
}

/// Chooses the matching policy of the highest priority.
///
/// # Errors
/// When none matches, several tie, or an expression fails: a policy that cannot be evaluated never lets a request through.
pub fn select<'a>(
    policies: impl IntoIterator<Item = &'a ApprovalPolicy>,
    context: &Value,
) -> Result<Selected, PolicyError> {
    let mut best: Vec<&ApprovalPolicy> = Vec::new();
    for policy in policies {
        if !holds(policy, "spec.match", &policy.spec.match_, context)? {
            continue;
        }
        let top = best.first().map_or(i32::MIN, |p| p.spec.priority);
        if policy.spec.priority > top {
            best.clear();
        }
        if policy.spec.priority >= top {
            best.push(policy);
        }
    }
    match best.as_slice() {
        [] => Err(PolicyError::None),
        [policy] => selected(policy, context),
        several => {
            let mut names: Vec<&str> = several.iter().map(|p| name(p)).collect();
            names.sort_unstable();
            Err(PolicyError::Ambiguous(names.join(", "), several.first().map_or(0, |p| p.spec.priority)))
        }
    }
}

fn selected(policy: &ApprovalPolicy, context: &Value) -> Result<Selected, PolicyError> {
    let mut stages = Vec::new();
    for stage in &policy.spec.stages {
        let applies = match &stage.when {
            Some(when) => holds(policy, &format!("spec.stages[{}].when", stage.name), when, context)?,
            None => true,
        };
        if applies {
            stages.push(StageRef {
                name: stage.name.clone(),
                quorum: stage.quorum,
                deadline_working_days: stage.deadline_working_days,
                expires: stage.on_timeout == OnTimeout::Expire,
            });
        }
    }
    if stages.is_empty() && policy.spec.auto_approve.is_none() {
        return Err(PolicyError::NoStageApplies(name(policy).to_owned()));
    }
    Ok(Selected {
        policy: PolicyRef {
            name: name(policy).to_owned(),
            uid: policy.metadata.uid.clone().unwrap_or_default(),
            generation: policy.metadata.generation.unwrap_or_default(),
        },
        stages,
        auto_basis: policy.spec.auto_approve.as_ref().map(|a| a.basis.clone()),
        confirm: policy.spec.confirm == Confirmation::Department,
        required_materials: policy.spec.required_materials.clone(),
        correction_days: i64::from(policy.spec.correction_days),
        hold_seconds: policy.spec.hold_seconds,
    })
}

/// What is wrong with a policy's expressions, field by field; empty when it can be followed.
pub fn review(spec: &ApprovalPolicySpec) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |field: String, source: &str| {
        if let Err(error) = Expression::compile(source, &VARIABLES, &CostLimits::default()) {
            faults.push(format!("{field}: {error}"));
        }
    };
    check("spec.match".to_owned(), &spec.match_);
    for stage in &spec.stages {
        if let Some(when) = &stage.when {
            check(format!("spec.stages[{}].when", stage.name), when);
        }
    }
    faults
}

fn holds(policy: &ApprovalPolicy, field: &str, source: &str, context: &Value) -> Result<bool, PolicyError> {
    let failed =
        |cause: String| PolicyError::Expression { policy: name(policy).to_owned(), field: field.to_owned(), cause };
    let expression =
        Expression::compile(source, &VARIABLES, &CostLimits::default()).map_err(|e| failed(e.to_string()))?;
    let mut bindings = Bindings::new();
    for variable in VARIABLES {
        let value = context.get(variable).unwrap_or(&Value::Null);
        bindings = bindings.with(variable, value).map_err(|e| failed(e.to_string()))?;
    }
    expression.evaluate_bool(&bindings).map_err(|e| failed(e.to_string()))
}

fn name(policy: &ApprovalPolicy) -> &str {
    policy.metadata.name.as_deref().unwrap_or_default()
}

//! Quotas: limits in force, what they leave, and refusals that explain themselves.

use std::collections::BTreeMap;

use zhengyun_crds::amounts::{AmountText, Amounts as AmountsText, Limits as LimitsText};
use zhengyun_crds::quota::{DepartmentQuota, DepartmentQuotaSpec, UnlistedChildren};
use zhengyun_crds::request::AncestorEffect;

use crate::amounts::{AmountError, Amounts, Limit, Limits, ResourceName};
use crate::quantity::Quantity;
use crate::tree::{Tree, TreeError};

/// A text in a custom resource that is not an amount, with its field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {cause}")]
pub struct FieldError {
    /// Field, such as `spec.capacity.cpu`.
    pub field: String,
    /// What is wrong with it.
    pub cause: String,
}

/// Reads amounts from their texts.
///
/// # Errors
/// The first field that is not a resource name with a quantity.
pub fn amounts(field: &str, texts: &AmountsText) -> Result<Amounts, FieldError> {
    texts
        .iter()
        .map(|(name, text)| {
            let fail = |cause: String| FieldError { field: format!("{field}.{name}"), cause };
            let resource = ResourceName::try_from(name.as_str()).map_err(|e| fail(e.to_string()))?;
            let quantity: Quantity =
                text.as_str().parse().map_err(|e: crate::quantity::QuantityError| fail(e.to_string()))?;
            Ok((resource, quantity))
        })
        .collect()
}

/// Reads limits from their texts.
///
/// # Errors
/// The first field that is not a resource name with a quantity or `unlimited`.
pub fn limits(field: &str, texts: &LimitsText) -> Result<Limits, FieldError> {
    texts
        .iter()
        .map(|(name, text)| {
            let fail = |cause: String| FieldError { field: format!("{field}.{name}"), cause };
            let resource = ResourceName::try_from(name.as_str()).map_err(|e| fail(e.to_string()))?;
            let limit: Limit = text.0.parse().map_err(|e: crate::quantity::QuantityError| fail(e.to_string()))?;
            Ok((resource, limit))
        })
        .collect()
}

/// Writes amounts as texts.
pub fn texts(amounts: &Amounts) -> AmountsText {
    amounts.iter().map(|(r, q)| (r.as_str().to_owned(), AmountText(q.to_string()))).collect()
}

/// A department's limit at one site, in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaLine {
    /// Limits; what is absent is 0.
    pub hard: Limits,
    /// Whether children without a quota of their own are bound by the ancestors only.
    pub shared_with_unlisted: bool,
}

/// The limits in force at one site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitBook {
    /// Lines by department.
    pub lines: BTreeMap<String, QuotaLine>,
    /// What the site has.
    pub capacity: Limits,
}

impl LimitBook {
    /// The limits that bind a charge of a department: one per node of its chain that has one.
    ///
    /// # Errors
    /// When the department has no place in the tree.
    pub fn binding(&self, tree: &Tree, department: &str) -> Result<Vec<(String, Limits)>, TreeError> {
        let chain = tree.chain(department)?;
        let nearest_shares = |from: usize| {
            chain.iter().skip(from).find_map(|name| self.lines.get(name)).is_some_and(|line| line.shared_with_unlisted)
        };
        Ok(chain
            .iter()
            .enumerate()
            .filter_map(|(at, name)| match self.lines.get(name) {
                Some(line) => Some((name.clone(), line.hard.clone())),
                None if nearest_shares(at.saturating_add(1)) => None,
                // No line and nobody shares: an absent limit is zero.
                None => Some((name.clone(), Limits::new())),
            })
            .collect())
    }
}

/// What each node of the chain and the site would say to a charge. `asked` may be a difference; negative parts always fit.
///
/// # Errors
/// When the department has no place, or a sum is beyond what an amount can be.
pub fn effects(
    book: &LimitBook,
    tree: &Tree,
    department: &str,
    used: &BTreeMap<String, Amounts>,
    used_at_site: &Amounts,
    asked: &Amounts,
) -> Result<Vec<AncestorEffect>, EffectError> {
    let mut effects = Vec::new();
    let nothing = Amounts::new();
    for (name, hard) in book.binding(tree, department)? {
        push_effects(&mut effects, &name, &hard, used.get(&name).unwrap_or(&nothing), asked)?;
    }
    push_effects(&mut effects, "", &book.capacity, used_at_site, asked)?;
    Ok(effects)
}

/// Why the effect of a charge cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EffectError {
    /// The department has no place in the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A sum is too large.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

fn push_effects(
    into: &mut Vec<AncestorEffect>,
    name: &str,
    hard: &Limits,
    used: &Amounts,
    asked: &Amounts,
) -> Result<(), AmountError> {
    let short = hard.shortfalls(used, asked)?;
    for (resource, quantity) in asked.iter() {
        let short_by = short.iter().find(|s| &s.resource == resource).map_or(Quantity::ZERO, |s| s.short_by);
        into.push(AncestorEffect {
            department: name.to_owned(),
            resource: resource.as_str().to_owned(),
            limit: hard.get(resource).to_string(),
            used: used.get(resource).to_string(),
            asked: quantity.to_string(),
            short_by: short_by.to_string(),
        });
    }
    Ok(())
}

/// The effects that do not fit.
pub fn shortfalls(effects: &[AncestorEffect]) -> Vec<AncestorEffect> {
    effects.iter().filter(|e| e.short_by.parse::<Quantity>().is_ok_and(|q| q > Quantity::ZERO)).cloned().collect()
}

/// A sentence about one node at which a charge does not fit.
pub fn explain(effect: &AncestorEffect, site: &str) -> String {
    let who = if effect.department.is_empty() {
        format!("the capacity of site {site}")
    } else {
        format!("the quota of {} at {site}", effect.department)
    };
    let fix = if effect.department.is_empty() {
        "ask for less, or choose another site"
    } else {
        "ask for less, or have that quota raised"
    };
    format!(
        "{}: {who} is {}, {} is used, {} was asked, short by {}; {fix}",
        effect.resource, effect.limit, effect.used, effect.asked, effect.short_by
    )
}

/// What is wrong with a quota beside its parent's and its siblings'.
///
/// `parent` is the nearest ancestor that has a quota; `siblings` are the other quotas under the same one.
pub fn review(
    quota: &DepartmentQuotaSpec,
    parent: Option<(&str, &DepartmentQuotaSpec)>,
    siblings: &[(&str, &DepartmentQuotaSpec)],
) -> Vec<QuotaFault> {
    let mut faults = Vec::new();
    for site in &quota.limits {
        let own = match limits(&format!("spec.limits[{}].hard", site.site), &site.hard) {
            Ok(own) => own,
            Err(e) => {
                faults.push(QuotaFault::Invalid(e.to_string()));
                continue;
            }
        };
        let Some((parent_name, parent)) = parent else { continue };
        let above = line_of(parent, &site.site);
        for (resource, limit) in own.iter() {
            let Limit::AtMost(cap) = above.get(resource) else { continue };
            let Limit::AtMost(mine) = *limit else {
                faults.push(QuotaFault::AboveParent(format!(
                    "spec.limits[{}].hard.{resource}: unlimited is above {parent_name}'s {cap}; set it to {cap} or less",
                    site.site
                )));
                continue;
            };
            if mine > cap {
                faults.push(QuotaFault::AboveParent(format!(
                    "spec.limits[{}].hard.{resource}: {mine} is above {parent_name}'s {cap}; set it to {cap} or less, or raise {parent_name}'s first",
                    site.site
                )));
                continue;
            }
            if let Some(fault) =
                sum_fault(resource, &site.site, mine, cap, parent_name, parent.overcommit_percent, siblings)
            {
                faults.push(fault);
            }
        }
    }
    faults
}

fn sum_fault(
    resource: &ResourceName,
    site: &str,
    mine: Quantity,
    cap: Quantity,
    parent: &str,
    percent: i32,
    siblings: &[(&str, &DepartmentQuotaSpec)],
) -> Option<QuotaFault> {
    let mut sum = mine;
    for (_, sibling) in siblings {
        if let Limit::AtMost(theirs) = line_of(sibling, site).get(resource) {
            sum = sum.checked_add(&theirs).ok()?;
        }
    }
    // Compared as sum × 100 > cap × percent, so that no fraction is lost.
    let allowed = cap.milli().checked_mul(i128::from(percent))?;
    (sum.milli().checked_mul(100)? > allowed).then(|| {
        QuotaFault::SumAboveParent(format!(
            "spec.limits[{site}].hard.{resource}: with {mine} the quotas under {parent} add up to {sum}, more than {percent} % of its {cap}; lower it, lower a sibling's, or raise {parent}'s quota or overcommitPercent"
        ))
    })
}

fn line_of(spec: &DepartmentQuotaSpec, site: &str) -> Limits {
    spec.limits.iter().find(|l| l.site == site).and_then(|l| limits("", &l.hard).ok()).unwrap_or_default()
}

/// What is wrong with a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaFault {
    /// A text is not an amount.
    Invalid(String),
    /// A limit is above the parent's.
    AboveParent(String),
    /// The children's limits add up to too much.
    SumAboveParent(String),
}

impl QuotaFault {
    /// The sentence about it.
    pub fn message(&self) -> &str {
        match self {
            Self::Invalid(m) | Self::AboveParent(m) | Self::SumAboveParent(m) => m,
        }
    }

    /// The condition reason.
    pub const fn reason(&self) -> zhengyun_crds::Reason {
        match self {
            Self::Invalid(_) => zhengyun_crds::Reason::Invalid,
            Self::AboveParent(_) => zhengyun_crds::Reason::LimitAboveParent,
            Self::SumAboveParent(_) => zhengyun_crds::Reason::ChildrenAboveParent,
        }
    }
}

/// The limit book of a site as adopted: what the statuses of quotas and the site say is in force.
pub fn adopted_book<'a>(
    site: &str,
    capacity: Option<&AmountsText>,
    quotas: impl IntoIterator<Item = &'a DepartmentQuota>,
) -> Result<LimitBook, FieldError> {
    let mut book = LimitBook {
        lines: BTreeMap::new(),
        capacity: capacity.map(|c| amounts("status.adopted.capacity", c)).transpose()?.unwrap_or_default().into(),
    };
    for quota in quotas {
        let (Some(name), Some(status)) = (quota.metadata.name.as_deref(), quota.status.as_ref()) else { continue };
        if status.unlisted_children.is_none() {
            continue;
        }
        let hard = match status.adopted.iter().find(|a| a.site == site) {
            Some(adopted) => limits(&format!("{name}: status.adopted[{site}].hard"), &adopted.hard)?,
            None => Limits::new(),
        };
        let shared = status.unlisted_children == Some(UnlistedChildren::Share);
        book.lines.insert(name.to_owned(), QuotaLine { hard, shared_with_unlisted: shared });
    }
    Ok(book)
}

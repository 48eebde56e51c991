//! What becomes of a call: the part of an API server between authorization and the store, on the modules under test.
//!
//! Rights are not asked here: of lines that authorization refuses nothing is learned, so they are left out. Rights that policies
//! ask for are in [`may`], a table for the people of the tables.

use std::cell::RefCell;

use anyhow::Result;
use serde_json::Value;
use zhengyun_tests::apiserver::cel::Access;

use super::case::{Call, Case, Expected, Sending};
use super::who::Who;
use super::world::World;

/// Refusals of parts that are not under test: authorization, Pod Security, quotas, preconditions of deletions, methods.
const ELSEWHERE: &[&str] = &[
    "cannot ",
    "attempting to grant RBAC",
    "violates PodSecurity",
    "exceeded quota",
    "does not match",
    "the server does not allow this method",
];

/// Everybody, before both clusters.
pub(crate) struct Callers {
    hub: RefCell<World>,
    site: RefCell<World>,
    refusals: RefCell<Vec<String>>,
}

impl Callers {
    pub(crate) fn new(hub: World, site: World) -> Self {
        Self { hub: RefCell::new(hub), site: RefCell::new(site), refusals: RefCell::default() }
    }

    /// Whether a line says something about the modules under test.
    pub(crate) fn says_something(case: &Case) -> bool {
        match case.expected {
            Expected::Refused(fragment) => {
                !ELSEWHERE.iter().any(|begins| fragment.starts_with(begins) || fragment.contains("does not match"))
            }
            Expected::Accepted => case.call.method != http::Method::GET,
            Expected::Allowed(_) => false,
        }
    }

    pub(crate) fn send(&self, who: Who, call: &Call, dry: bool) -> Result<Result<Value, (u16, String)>> {
        let world = if who.at_site() { &self.site } else { &self.hub };
        let answer = world.borrow_mut().answer(who, call, dry)?;
        if let Err((_, told)) = &answer {
            self.refusals.borrow_mut().push(told.clone());
        }
        Ok(answer)
    }

    /// Every refusal that was heard so far.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.refusals.borrow().clone()
    }

    #[expect(clippy::unused_async, reason = "the tables' own functions await it")]
    pub(crate) async fn must(&self, who: Who, call: Call) -> Result<Value> {
        self.send(who, &call, false)?.map_err(|(code, told)| anyhow::anyhow!("{who}: {}: {code} {told}", call.about))
    }

    #[expect(clippy::unused_async, reason = "the tables' own functions await it")]
    pub(crate) async fn disagreement(&self, case: &Case) -> Result<Option<String>> {
        self.disagrees(case)
    }

    /// Tries one line, and says how it disagrees.
    pub(crate) fn disagrees(&self, case: &Case) -> Result<Option<String>> {
        let dry = case.sending == Sending::Careful;
        let first = judge(&case.expected, self.send(case.who, &case.call, dry)?);
        if first.is_some() || !dry || matches!(case.expected, Expected::Accepted) {
            return Ok(first);
        }
        Ok(judge(&case.expected, self.send(case.who, &case.call, false)?))
    }
}

fn judge(expected: &Expected, came: Result<Value, (u16, String)>) -> Option<String> {
    match (expected, came) {
        (Expected::Accepted, Err((code, told))) => Some(format!("must be accepted, was refused: {code} {told}")),
        (Expected::Refused(fragment), Ok(_)) => Some(format!("must be refused with {fragment:?}, was accepted")),
        (Expected::Refused(fragment), Err((code, told))) => {
            (!told.contains(fragment)).then(|| format!("must be refused with {fragment:?}, but: {code} {told}"))
        }
        (Expected::Accepted | Expected::Allowed(_), _) => None,
    }
}

/// What the roles of the charts give: only the rights that policies ask for.
pub(crate) fn may(who: Who, access: &Access) -> bool {
    let Who::Person(user) = who else { return matches!(who, Who::Root | Who::SiteRoot) };
    let place = access.namespace.as_str();
    if access.group != "zhengyun.io" {
        return false;
    }
    match (access.resource.as_str(), access.verb.as_str(), access.subresource.as_str()) {
        ("ledgers", "accept", "") | ("machinerooms", "update", "") => user == "cloud-admin",
        ("machinerooms", "sign", "verification") => user == "authority-chief",
        ("systemmigrations", "sign", party) => match (user, party) {
            ("head-emergency", "department") => place == "dept-emergency",
            ("head-finance", "department") => place == "dept-finance",
            ("authority-chief", "authority") | ("provider-ops", "provider") => true,
            _ => false,
        },
        ("resourcerequests" | "systemmigrations", "update", "") => {
            matches!((user, place), ("clerk-emergency", "dept-emergency") | ("clerk-finance", "dept-finance"))
        }
        ("resourcerequests", "decide", stage) => match (user, stage) {
            ("head-emergency", "department") => place == "dept-emergency",
            ("head-finance", "department") => place == "dept-finance",
            ("reviewer-hohhot", "local") => place.starts_with("dept-hohhot-"),
            ("reviewer-technical", "technical")
            | ("reviewer-capacity", "capacity")
            | ("reviewer-security", "security")
            | ("authority-chief", "authority") => true,
            _ => false,
        },
        _ => false,
    }
}

//! ETags: what a person saw, not which revision of the object it was.
//!
//! Of a recovery plan the tag is UID and digest of what people write in it. Of a request it is UID, digest of the order with its materials, review round, and a short digest of everything else that people
//! write in a request. Status writes of the operator do not change it, so an approver who reads for an hour still decides on
//! what was read; whatever a person writes does, and so does the review that follows from a submission.

use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use zhengyun_crds::{RecoveryPlan, ResourceRequest, ResourceRequestSpec};

use crate::problem::Problem;

/// Hexadecimal digits of the digest of what the order digest leaves out: 64 bits are enough between two reads of one request.
const REST_DIGITS: usize = 16;

/// A strong ETag, quotes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    /// The tag of a request as it stands.
    pub(crate) fn of(request: &ResourceRequest) -> Self {
        let uid = request.metadata.uid.as_deref().unwrap_or_default();
        let round = request.status.as_ref().and_then(|s| s.review.as_ref()).map_or(0, |r| r.round);
        Self(format!("\"{uid}.{}.{round}.{}\"", order_digest(request), rest_digest(&request.spec)))
    }

    /// The tag of a recovery plan as it stands.
    pub(crate) fn of_plan(plan: &RecoveryPlan) -> Self {
        let uid = plan.metadata.uid.as_deref().unwrap_or_default();
        Self(format!("\"{uid}.{}\"", zhengyun_domain::digest::of(&plan.spec)))
    }

    /// The tag as it stands in a header.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The response header.
    pub(crate) fn header(&self) -> [(http::HeaderName, HeaderValue); 1] {
        // UID, digest and number are visible ASCII; anything else would be a defect of the hub and is left out.
        [(ETAG, HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("\"\"")))]
    }

    /// Whether the caller saw what is there. `*` says nothing about what was seen, so it does not count.
    pub(crate) fn require(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match seen(headers) {
            Seen::Nothing | Seen::Anything => Err(Problem::precondition_required()),
            Seen::Tags(tags) => self.among(&tags),
        }
    }

    /// Like [`Tag::require`], but a caller who does not say what was seen is believed.
    pub(crate) fn respect(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match seen(headers) {
            Seen::Nothing | Seen::Anything => Ok(()),
            Seen::Tags(tags) => self.among(&tags),
        }
    }

    fn among(&self, tags: &[String]) -> Result<(), Problem> {
        if tags.contains(&self.0) { Ok(()) } else { Err(Problem::precondition_failed(&self.0)) }
    }
}

/// The digest of what a request asks for now.
pub(crate) fn order_digest(request: &ResourceRequest) -> String {
    zhengyun_domain::request::order_digest(&request.spec.order, &request.spec.materials)
}

/// The digest of what people write beside what approvers decide on.
///
/// The order digest leaves the justification out, so that a better one needs no new approvals; two people who edit it must
/// not overwrite each other all the same, nor may somebody edit what another has just submitted or taken back.
fn rest_digest(spec: &ResourceRequestSpec) -> String {
    // Every field, so that a new one cannot be forgotten. Who wrote last is not content: writing the same again changes nothing.
    let ResourceRequestSpec {
        order,
        materials: _,
        submission,
        withdrawn,
        delivery_confirmed,
        requested_by: _,
        edited_by: _,
    } = spec;
    let rest = json!([order.justification, submission, withdrawn, delivery_confirmed]);
    let digest = zhengyun_domain::digest::of(&rest);
    let digits = digest.rsplit(':').next().unwrap_or_default();
    digits.chars().take(REST_DIGITS).collect()
}

enum Seen {
    Nothing,
    Anything,
    Tags(Vec<String>),
}

/// What `If-Match` names (RFC 9110, section 13.1.1). A weak tag never matches strongly and is dropped.
fn seen(headers: &HeaderMap) -> Seen {
    let mut tags = Vec::new();
    let mut present = false;
    for value in headers.get_all(IF_MATCH) {
        present = true;
        for tag in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            if tag == "*" {
                return Seen::Anything;
            }
            if tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"') {
                tags.push(tag.to_owned());
            }
        }
    }
    if present { Seen::Tags(tags) } else { Seen::Nothing }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::IF_MATCH;
    use rstest::rstest;
    use zhengyun_crds::{RecoveryPlan, ResourceRequest};

    use super::{Tag, order_digest};
    use crate::problem::Code;
    use crate::testing::{a_request, an_open_stage};

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn changes_with_what_was_seen_and_with_nothing_else() {
        let request = a_request("finance", "r1");
        let tag = Tag::of(&request);
        assert!(tag.as_str().starts_with("\"uid-r1.sha256:"), "{}", tag.as_str());
        assert_eq!(tag.as_str().split('.').nth(2), Some("0"), "{}", tag.as_str());
        // It goes into a header as it stands (RFC 9110, section 8.8.3).
        assert!(tag.as_str().trim_matches('"').bytes().all(|b| b.is_ascii_graphic() && b != b'"'), "{}", tag.as_str());

        let mut touched = request.clone();
        touched.metadata.resource_version = Some("77".into());
        touched.spec.edited_by = "li".into();
        let status = touched.status.get_or_insert_default();
        status.phase = Some(zhengyun_crds::RequestPhase::InReview);
        status.editors = vec!["zhang".into(), "li".into()];
        status.submission = 1;
        status.stage = Some(an_open_stage("technical", 1));
        status.grant = Some("r1-abc".into());
        assert_eq!(Tag::of(&touched), tag);
    }

    #[rstest]
    #[case::an_edit_of_the_order(|r: &mut ResourceRequest| r.spec.order.items[0].count = 2)]
    #[case::an_edit_of_the_justification_alone(|r: &mut ResourceRequest| r.spec.order.justification = "another reason".into())]
    #[case::another_document(|r: &mut ResourceRequest| r.spec.materials = vec![zhengyun_crds::request::Material {
        kind: "letter".into(), title: "a letter".into(), sha256: "0".repeat(64), reference: "archive".into(),
    }])]
    #[case::a_submission(|r: &mut ResourceRequest| r.spec.submission = 1)]
    #[case::a_withdrawal(|r: &mut ResourceRequest| r.spec.withdrawn = true)]
    #[case::a_confirmation(|r: &mut ResourceRequest| r.spec.delivery_confirmed = true)]
    #[case::the_review_that_it_entered(|r: &mut ResourceRequest| r.status.get_or_insert_default().review.get_or_insert_default().round = 1)]
    #[case::another_request_of_that_name(|r: &mut ResourceRequest| r.metadata.uid = Some("uid-other".into()))]
    fn tells_every_other_content(#[case] change: fn(&mut ResourceRequest)) {
        let request = a_request("finance", "r1");
        let mut changed = request.clone();
        change(&mut changed);
        assert_ne!(Tag::of(&changed), Tag::of(&request));
    }

    #[test]
    fn of_a_plan_it_is_what_people_wrote() {
        let plan: RecoveryPlan = serde_json::from_value(crate::tests::recovery::a_plan()).unwrap();
        let tag = Tag::of_plan(&plan);
        assert!(tag.as_str().starts_with("\"plan-1.sha256:"), "{}", tag.as_str());
        let mut measured = plan.clone();
        measured.metadata.resource_version = Some("77".into());
        measured.status.get_or_insert_default().achieved_level = 4;
        assert_eq!(Tag::of_plan(&measured), tag);
        let (mut paused, mut other) = (plan.clone(), plan);
        paused.spec.paused = true;
        other.metadata.uid = Some("plan-2".into());
        assert!(Tag::of_plan(&paused) != tag && Tag::of_plan(&other) != tag);
    }

    #[test]
    fn a_changed_justification_leaves_the_digest_of_the_order() {
        let mut request = a_request("finance", "r1");
        let digest = order_digest(&request);
        request.spec.order.justification = "another reason".into();
        assert_eq!(order_digest(&request), digest);
    }

    #[rstest]
    #[case(&[], Err(Code::PreconditionRequired))]
    #[case(&["*"], Err(Code::PreconditionRequired))]
    #[case(&["\"a\""], Ok(()))]
    #[case(&["\"b\", \"a\""], Ok(()))]
    #[case(&["\"b\"", "\"a\""], Ok(()))]
    #[case(&["W/\"a\""], Err(Code::PreconditionFailed))]
    #[case(&["\"b\""], Err(Code::PreconditionFailed))]
    #[case(&["a"], Err(Code::PreconditionFailed))]
    #[case(&[""], Err(Code::PreconditionFailed))]
    fn only_the_tag_itself_is_accepted(#[case] values: &[&str], #[case] expected: Result<(), Code>) {
        let tag = Tag("\"a\"".into());
        assert_eq!(tag.require(&headers(values)).map_err(|p| p.code()), expected);
    }

    #[test]
    fn where_it_is_optional_a_wrong_one_still_counts() {
        let tag = Tag("\"a\"".into());
        assert!(tag.respect(&headers(&[])).is_ok());
        assert!(tag.respect(&headers(&["*"])).is_ok());
        assert!(tag.respect(&headers(&["\"b\""])).is_err());
    }
}

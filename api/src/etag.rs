//! ETags of requests: what a person saw, not which revision of the object it was.
//!
//! The tag is UID, digest of the order with its materials, and review round. Status writes of the operator do not change it,
//! so an approver who reads for an hour still decides on what was read; an edit or a resubmission does.

use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue};
use zhengyun_crds::ResourceRequest;

use crate::problem::Problem;

/// The strong ETag of a request, quotes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag(String);

impl Tag {
    /// The tag of a request as it stands.
    pub(crate) fn of(request: &ResourceRequest) -> Self {
        let uid = request.metadata.uid.as_deref().unwrap_or_default();
        let round = request.status.as_ref().and_then(|s| s.review.as_ref()).map_or(0, |r| r.round);
        Self(format!("\"{uid}.{}.{round}\"", order_digest(request)))
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

    use super::Tag;
    use crate::problem::Code;
    use crate::testing::a_request;

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
        assert!(tag.as_str().ends_with(".0\""), "{}", tag.as_str());

        let mut touched = request.clone();
        touched.metadata.resource_version = Some("77".into());
        touched.spec.submission = 1;
        assert_eq!(Tag::of(&touched), tag);

        let mut edited = request.clone();
        edited.spec.order.items[0].count = 2;
        assert_ne!(Tag::of(&edited), tag);

        let mut resubmitted = request.clone();
        resubmitted.status.get_or_insert_default().review.get_or_insert_default().round = 1;
        assert_ne!(Tag::of(&resubmitted), tag);

        let mut recreated = request;
        recreated.metadata.uid = Some("uid-other".into());
        assert_ne!(Tag::of(&recreated), tag);
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

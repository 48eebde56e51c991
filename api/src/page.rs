//! Pages of lists: a bounded number of items, and an opaque token for the next ones.
//!
//! The token holds the place of the last item shown, so what is created or deleted meanwhile neither repeats nor hides
//! an item; and a fingerprint of filters and order, so that it is not used for another list.

use data_encoding::BASE64URL_NOPAD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::problem::{Finding, Problem};
use crate::shapes;

/// Items on a page when the caller does not say.
const DEFAULT_LIMIT: usize = 50;
/// Items on a page at most.
pub(crate) const MAX_LIMIT: usize = 500;
/// Bytes of the fingerprint that a token carries: enough against mistakes, which is all it guards against.
const FINGERPRINT_BYTES: usize = 6;
/// Longest token that is read.
const MAX_TOKEN_BYTES: usize = 1024;

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    /// The items, in the order asked for.
    pub(crate) items: Vec<T>,
    /// Give it as `pageToken` to read on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// Where an item stands in a list: compared from left to right, and unique.
pub(crate) type Place = [String; 3];

/// Order of a list; a minus turns it round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) enum Sort {
    /// Oldest first.
    #[serde(rename = "created")]
    Created,
    /// Newest first.
    #[default]
    #[serde(rename = "-created")]
    CreatedDescending,
    /// By name.
    #[serde(rename = "name")]
    Name,
    /// By name, last first.
    #[serde(rename = "-name")]
    NameDescending,
}

impl Sort {
    pub(crate) const fn is_descending(self) -> bool {
        matches!(self, Self::CreatedDescending | Self::NameDescending)
    }

    /// The place of an object in this order.
    pub(crate) fn place(self, metadata: &ObjectMeta) -> Place {
        let namespace = metadata.namespace.clone().unwrap_or_default();
        match self {
            Self::Created | Self::CreatedDescending => [shapes::created(metadata), namespace, shapes::name(metadata)],
            Self::Name | Self::NameDescending => [shapes::name(metadata), namespace, String::new()],
        }
    }
}

/// How a list is cut into pages.
#[derive(Debug)]
pub(crate) struct Paging {
    limit: usize,
    after: Option<Place>,
    descending: bool,
    fingerprint: String,
}

#[derive(Serialize, Deserialize)]
struct Token {
    /// Fingerprint of filters and order.
    f: String,
    /// Place of the last item shown.
    p: Place,
}

impl Paging {
    /// Reads `limit` and `pageToken`; `list` names filters and order, which the token is bound to.
    pub(crate) fn new<L: Serialize>(
        limit: Option<usize>,
        token: Option<&str>,
        descending: bool,
        list: &L,
    ) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 || limit > MAX_LIMIT {
            return Err(Problem::invalid_query(vec![Finding::new(
                "limit",
                "Range",
                format!("{limit} is not between 1 and {MAX_LIMIT}"),
            )]));
        }
        let fingerprint = fingerprint(list);
        let after = token.map(|token| place(token, &fingerprint)).transpose()?;
        Ok(Self { limit, after, descending, fingerprint })
    }

    /// Cuts the page out of everything that the caller may see.
    pub(crate) fn cut<T>(&self, items: Vec<T>, place_of: impl Fn(&T) -> Place) -> Page<T> {
        let mut placed: Vec<(Place, T)> = items
            .into_iter()
            .map(|item| (place_of(&item), item))
            .filter(|(place, _)| {
                self.after.as_ref().is_none_or(|after| if self.descending { place < after } else { place > after })
            })
            .collect();
        placed.sort_unstable_by(|(a, _), (b, _)| if self.descending { b.cmp(a) } else { a.cmp(b) });
        let more = placed.len() > self.limit;
        placed.truncate(self.limit);
        let next_page_token = placed.last().filter(|_| more).map(|(place, _)| self.token(place));
        Page { items: placed.into_iter().map(|(_, item)| item).collect(), next_page_token }
    }

    fn token(&self, place: &Place) -> String {
        let token = Token { f: self.fingerprint.clone(), p: place.clone() };
        // Strings always have a JSON form.
        BASE64URL_NOPAD.encode(&serde_json::to_vec(&token).unwrap_or_default())
    }
}

impl<T> Page<T> {
    /// The same page of other things.
    pub(crate) fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next_page_token: self.next_page_token }
    }
}

fn fingerprint<L: Serialize>(list: &L) -> String {
    let digest = Sha256::digest(serde_json::to_vec(list).unwrap_or_default());
    BASE64URL_NOPAD.encode(digest.get(..FINGERPRINT_BYTES).unwrap_or_default())
}

fn place(token: &str, fingerprint: &str) -> Result<Place, Problem> {
    let wrong = |message: &str| Problem::invalid_query(vec![Finding::new("pageToken", "PageToken", message)]);
    let token: Token = Some(token)
        .filter(|token| token.len() <= MAX_TOKEN_BYTES)
        .and_then(|token| BASE64URL_NOPAD.decode(token.as_bytes()).ok())
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| wrong("is not a token of this API; start again without it"))?;
    if token.f != fingerprint {
        return Err(wrong("belongs to a list with other filters or another order; start again without it"));
    }
    Ok(token.p)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Page, Paging, Place};
    use crate::problem::Code;

    fn place(n: u32) -> Place {
        [format!("{:03}", n / 2), "d".into(), format!("{n:03}")]
    }

    fn walk(descending: bool, limit: usize, mut items: Vec<u32>, mut between: impl FnMut(&mut Vec<u32>)) -> Vec<u32> {
        let mut token: Option<String> = None;
        let mut seen = Vec::new();
        loop {
            let paging = Paging::new(Some(limit), token.as_deref(), descending, &"list").unwrap();
            let Page { items: page, next_page_token } = paging.cut(items.clone(), |n| place(*n));
            assert!(page.len() <= limit);
            seen.extend(page);
            between(&mut items);
            match next_page_token {
                Some(next) => token = Some(next),
                None => return seen,
            }
        }
    }

    #[rstest]
    #[case(1)]
    #[case(3)]
    #[case(10)]
    #[case(500)]
    fn pages_together_are_the_list(#[case] limit: usize) {
        let all: Vec<u32> = (0..10).collect();
        assert_eq!(walk(false, limit, vec![3, 1, 4, 0, 5, 9, 2, 6, 8, 7], |_| ()), all);
        assert_eq!(walk(true, limit, all.clone(), |_| ()), all.into_iter().rev().collect::<Vec<_>>());
    }

    #[test]
    fn what_comes_and_goes_meanwhile_neither_repeats_nor_hides_others() {
        // After each page the first item goes: a token by number of items would skip one.
        let seen = walk(false, 3, (0..9).collect(), |items| {
            items.remove(0);
        });
        assert_eq!(seen, (0..9).collect::<Vec<_>>());
    }

    #[rstest]
    #[case(Some(0), None)]
    #[case(Some(501), None)]
    #[case(None, Some("x"))]
    #[case(None, Some("e30"))]
    fn wrong_limits_and_tokens_are_refused(#[case] limit: Option<usize>, #[case] token: Option<&str>) {
        let problem = Paging::new(limit, token, false, &"list").unwrap_err();
        assert_eq!(problem.code(), Code::InvalidQuery);
        assert!(!problem.findings().is_empty());
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        let page = Paging::new(Some(1), None, false, &"one").unwrap().cut(vec![1, 2], |n| place(*n));
        let problem = Paging::new(Some(1), page.next_page_token.as_deref(), false, &"other").unwrap_err();
        assert_eq!(problem.findings()[0].pointer, "pageToken");
    }
}

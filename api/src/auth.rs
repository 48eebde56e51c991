//! Who calls, and what they may see.
//!
//! Nobody is anonymous here and nobody has a password: a caller is whoever the hub says the bearer token belongs to.

mod access;
mod identity;
mod sight;
mod token;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use secrecy::SecretString;

pub(crate) use access::{AccessReviews, Right};
pub(crate) use identity::Identity;
pub(crate) use sight::Sight;
pub(crate) use token::TokenReviews;

use crate::hub::CallerHub;
use crate::problem::Problem;
use crate::state::AppState;

/// The person (or program) behind a request.
pub(crate) struct Caller {
    pub(crate) identity: Arc<Identity>,
    token: Arc<SecretString>,
}

impl Caller {
    /// The username as the hub knows it.
    pub(crate) fn username(&self) -> &str {
        &self.identity.username
    }

    /// Looks again who it is: a token may have been taken back since.
    pub(crate) async fn renew(&mut self, state: &AppState) -> Result<(), Problem> {
        self.identity = state.tokens.identify(&state.hub, &self.token).await?;
        Ok(())
    }

    /// The hub with this caller's rights.
    pub(crate) fn hub<'a>(&self, state: &'a AppState) -> CallerHub<'a> {
        state.hub.as_caller(Arc::clone(&self.token), &state.cache)
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?;
        let identity = state.tokens.identify(&state.hub, &token).await?;
        tracing::Span::current().record("user", identity.username.as_str());
        if !state.cache.waiting().is_empty() {
            return Err(Problem::not_ready());
        }
        Ok(Self { identity, token: Arc::new(token) })
    }
}

/// The token out of `Authorization: Bearer <token>` (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<SecretString, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Problem::unauthenticated()) };
    let text = value.to_str().map_err(|_| Problem::unauthenticated())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(Problem::unauthenticated)?;
    let token = token.trim();
    // The token goes into a header to the hub: nothing but the letters of the grammar may be in it.
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=:".contains(&b);
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || !token.bytes().all(is_token) {
        return Err(Problem::unauthenticated());
    }
    Ok(SecretString::from(token))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::AUTHORIZATION;
    use rstest::rstest;
    use secrecy::ExposeSecret;

    use super::bearer;

    #[rstest]
    #[case(&["Bearer abc.DEF-1_~+/="], Some("abc.DEF-1_~+/="))]
    #[case(&["bearer  abc"], Some("abc"))]
    #[case(&[], None)]
    #[case(&["Bearer"], None)]
    #[case(&["Bearer "], None)]
    #[case(&["Basic abc"], None)]
    #[case(&["Bearer a b"], None)]
    #[case(&["Bearer a,b"], None)]
    #[case(&["Bearer a", "Bearer b"], None)]
    fn only_one_plain_bearer_token_is_taken(#[case] values: &[&str], #[case] expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        assert_eq!(bearer(&headers).ok().as_ref().map(ExposeSecret::expose_secret), expected);
    }
}

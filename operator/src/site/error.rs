//! What can go wrong with a site, and who can do something about it.

/// Why something could not be done at a site.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// No answer came: connection, TLS or time.
    #[error(
        "site {site} does not answer ({what}: {cause}); check the network and the API server there, everything goes on by itself once it answers"
    )]
    Unreachable {
        /// Site.
        site: String,
        /// What was asked.
        what: String,
        /// What happened instead of an answer.
        cause: String,
    },
    /// The site answered, but with a failure of its own; a part of it is down or busy.
    #[error(
        "site {site} failed ({what}: {cause}); it is tried again, look at the API server and the webhooks there if it stays"
    )]
    Failing {
        /// Site.
        site: String,
        /// What was asked.
        what: String,
        /// Its answer.
        cause: String,
    },
    /// What was to be written changed meanwhile.
    #[error("at site {site} something changed while it was written ({what}); it is looked at again")]
    Changed {
        /// Site.
        site: String,
        /// What was asked.
        what: String,
    },
    /// The credential is not accepted.
    #[error("site {site} does not accept the credential ({what}); put a valid kubeconfig into the site's Secret")]
    Unauthorized {
        /// Site.
        site: String,
        /// What was asked.
        what: String,
    },
    /// The site's fence carries a newer epoch than this operator's.
    #[error("site {site} is fenced against this operator: {cause}; another operator has taken over, this one must end")]
    Fenced {
        /// Site.
        site: String,
        /// Its answer.
        cause: String,
    },
    /// Identity or fence of the site are not confirmed, so nothing is written there.
    #[error(
        "nothing is written to site {site} until its identity and its fence are confirmed; see `kubectl get site {site} -o wide`"
    )]
    NotConfirmed {
        /// Site.
        site: String,
    },
    /// The site's admission policy does not keep older operators out.
    #[error(
        "site {site} does not refuse writes of an older operator ({cause}); install the site's admission policies (deploy/site) there"
    )]
    NotFenced {
        /// Site.
        site: String,
        /// What was tried.
        cause: String,
    },
    /// The site refused.
    #[error("site {site} refused ({what}): {cause}")]
    Refused {
        /// Site.
        site: String,
        /// What was asked.
        what: String,
        /// Its answer.
        cause: String,
    },
    /// It cannot be shown that nothing is left.
    #[error("at site {site} it cannot be proven that nothing is left: {cause}")]
    Unproven {
        /// Site.
        site: String,
        /// What stands in the way, and what to do.
        cause: String,
    },
}

impl SiteError {
    /// Whether trying again can help without anybody doing something.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Failing { .. } | Self::Changed { .. } | Self::NotConfirmed { .. }
        )
    }

    /// Whether a newer operator has taken over, so that this one must end.
    pub const fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }
}

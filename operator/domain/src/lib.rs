//! The decisions of Zhengyun: pure functions, no clock, no network, no randomness.
//!
//! Every noun has its module: department ([`tree`]), [`quota`], [`catalog`], [`request`], [`approval`], [`policy`], [`grant`],
//! [`delivery`], [`ledger`], [`recovery`], [`migration`]. Beneath them are exact amounts ([`quantity`], [`amounts`]) and bounded expressions ([`expression`],
//! [`template`], [`parameters`], [`manifest`], [`readiness`]).

#![deny(clippy::arithmetic_side_effects)]

pub mod amounts;
pub mod approval;
pub mod catalog;
pub mod condition;
pub mod delivery;
pub mod digest;
pub mod eligibility;
pub mod expression;
pub mod finding;
pub mod grant;
pub mod ledger;
pub mod manifest;
pub mod migration;
pub mod naming;
pub mod parameters;
pub mod policy;
pub mod quantity;
pub mod quota;
pub mod readiness;
pub mod recovery;
pub mod request;
pub mod seeded;
pub mod template;
pub mod tree;

//! What an S3 server means by an answer that is no success.
//!
//! The client has no kinds for them, so the code in the answer's body tells; its text is the server's own.

use object_store::Error;

/// Word for programs, problem and fix; none for an answer that says nothing of the kind.
pub(super) fn told(error: &Error) -> Option<(&'static str, String, &'static str)> {
    let text = chain(error);
    let code = between(&text, "<Code>", "</Code>");
    let said = between(&text, "<Message>", "</Message>").unwrap_or_default();
    let problem = |what: &str| format!("{what} ({}: {said})", code.unwrap_or_default());
    match code {
        Some("NoSuchBucket") => Some((
            "BucketMissing",
            problem("there is no such bucket"),
            "have the bucket made, or correct its name; it is not made here",
        )),
        Some(
            "InvalidAccessKeyId"
            | "XAdminUserNotFound"
            | "InvalidClientTokenId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken",
        ) => Some((
            "StoreCredentialsRefused",
            problem("the access key or its secret is not the right one"),
            "correct accessKeyId and secretAccessKey",
        )),
        Some("AccessDenied" | "AllAccessDisabled" | "AccountProblem") => Some((
            "StoreCredentialsRefused",
            problem("the access key may not do this"),
            "let the access key read, write, list and delete in the bucket, or correct accessKeyId and secretAccessKey",
        )),
        Some("RequestTimeTooSkewed" | "RequestExpired") => Some((
            "StoreClockSkew",
            problem("its clock and this machine's clock differ too much"),
            "set both clocks by a time server (NTP)",
        )),
        // Only this one says that an object is not there; anything else must not pass for an empty repository.
        Some(other) if matches!(error, Error::NotFound { .. }) && other != "NoSuchKey" => Some((
            "StoreRefused",
            problem("it does not serve the bucket"),
            "look up what the server means, and mend it",
        )),
        _ => match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Some((
                "StoreCredentialsRefused",
                format!("the access key may not do this ({})", super::innermost(error)),
                "correct accessKeyId and secretAccessKey, and let them read, write, list and delete in the bucket",
            )),
            _ => None,
        },
    }
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(one) = cause {
        text.push('\n');
        text.push_str(&one.to_string());
        cause = one.source();
    }
    text
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split_once(end).map(|(found, _)| found)
}

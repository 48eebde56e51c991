//! Kubeconfigs of strangers: nothing in them runs, reads or reaches anything here, and nothing secret in them is repeated.

mod changes;
mod good;
#[path = "../../../../tests/fuzz/run.rs"]
mod run;

use std::time::{Duration, Instant};

use kube::Config;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::{ConnectError, Credential};
use changes::{mutate, mutation, value};
use good::{CANARY, FORBIDDEN_TO_CLUSTERS, FORBIDDEN_TO_USERS, good, names, secrets};
use run::fuzz;

/// That neither the error nor what a log would show of it repeats a secret.
fn keeps_silent(error: &ConnectError) -> Result<(), TestCaseError> {
    for told in [error.to_string(), format!("{error:?}"), format!("{error:#?}")] {
        for secret in secrets() {
            prop_assert!(!told.contains(&secret), "a secret in: {told}");
        }
        prop_assert!(told.chars().count() < 1_000, "{} characters", told.chars().count());
    }
    Ok(())
}

/// That a credential leads to its server over TLS that is checked, with its token or certificate and nothing else.
fn does_no_more(credential: &Credential) -> Result<(), TestCaseError> {
    let shown = format!("{credential:?}");
    prop_assert!(!shown.contains(CANARY), "{shown}");
    for config in [credential.for_calls().unwrap(), credential.for_watches().unwrap()] {
        let Config {
            cluster_url,
            root_cert,
            root_cert_file,
            accept_invalid_certs,
            auth_info,
            proxy_url,
            tls_server_name,
            headers,
            default_retry,
            ..
        } = config;
        prop_assert_eq!(cluster_url.scheme_str(), Some("https"));
        prop_assert!(cluster_url.host().is_some_and(|host| !host.is_empty()) && cluster_url.query().is_none());
        prop_assert!(!cluster_url.authority().unwrap().as_str().contains('@'));
        prop_assert!(root_cert.is_some_and(|authorities| !authorities.is_empty()));
        prop_assert!(!accept_invalid_certs && proxy_url.is_none() && tls_server_name.is_none());
        prop_assert!(headers.is_empty() && root_cert_file.is_none() && !default_retry);
        let shown = serde_json::to_value(&auth_info).unwrap();
        let used: Vec<&str> = shown
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(field, _)| field.as_str())
            .collect();
        let with_token = auth_info.token.as_ref().is_some_and(|token| !token.expose_secret().is_empty());
        let expected: &[&str] = if with_token { &["token"] } else { &["client-certificate-data", "client-key-data"] };
        prop_assert_eq!(used, expected);
    }
    Ok(())
}

/// Reads a text as the operator does, and checks what holds whatever the text is.
fn read(text: &str) -> Result<Option<Credential>, TestCaseError> {
    let started = Instant::now();
    let outcome = Credential::read(text);
    prop_assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
    prop_assert_eq!(&Credential::read(text), &outcome, "again the same");
    match outcome {
        Ok(credential) => does_no_more(&credential).map(|()| Some(credential)),
        Err(error) => keeps_silent(&error).map(|()| None),
    }
}

/// What is without effect and may stand where an effect is forbidden.
fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false)) || value == ""
}

/// Programs, files, proxies, blind TLS and borrowed identities are refused by the name of their field, whatever their value is
/// and however they come to stand there.
#[test]
fn what_has_an_effect_is_refused_by_its_name() {
    let field = prop_oneof![
        select(FORBIDDEN_TO_USERS).prop_map(|field| ("/users/0/user", field)),
        select(FORBIDDEN_TO_CLUSTERS).prop_map(|field| ("/clusters/0/cluster", field)),
    ];
    let values = (any::<bool>(), field, value(), 0..3);
    fuzz(
        "kubeconfig::what_has_an_effect_is_refused_by_its_name",
        1_000,
        &values,
        |(by_certificate, (place, field), value, how)| {
            let mut config = good(by_certificate);
            let text = match how {
                0 => {
                    config.pointer_mut(place).unwrap().as_object_mut().unwrap().insert(field.to_owned(), value.clone());
                    config.to_string()
                }
                // Through an alias, or merged from elsewhere: a YAML text that ends up the same.
                how => {
                    let body = config.pointer(place).unwrap().as_object().unwrap().clone();
                    let fields: Vec<String> =
                        body.iter().map(|(name, value)| format!("{}: {value}", json!(name))).collect();
                    let hidden = json!({ field: value });
                    let mark = json!("the body");
                    *config.pointer_mut(place).unwrap() = mark.clone();
                    let put = if how == 1 {
                        format!("{{{}, <<: *hidden}}", fields.join(", "))
                    } else {
                        format!("{{{}, {}: *hidden}}", fields.join(", "), json!(field))
                    };
                    let hidden = if how == 1 { hidden.to_string() } else { value.to_string() };
                    format!("{{\"extensions\": [&hidden {hidden}], {}", &config.to_string()[1..])
                        .replace(&mark.to_string(), &put)
                }
            };
            let outcome = read(&text)?;
            if is_nothing(&value) {
                return Ok(());
            }
            prop_assert!(outcome.is_none(), "{field} was accepted in {text}");
            let error = Credential::read(&text).unwrap_err();
            let ConnectError::Field { field: told, .. } = &error else {
                return Err(TestCaseError::fail(format!("{error} does not name {field} in {text}")));
            };
            prop_assert!(
                field.contains(' ') || told.ends_with(&format!(".{field}")),
                "{error} names another field than {field}"
            );
            Ok(())
        },
    );
}

/// A good kubeconfig with some things changed: it is taken or refused; its secrets stay secret, wherever they were moved to but
/// the place of a name.
#[test]
fn a_changed_kubeconfig_tells_no_secret() {
    let changes = proptest::collection::vec((any::<Index>(), mutation()), 1..6);
    let values = (any::<bool>(), changes);
    fuzz("kubeconfig::a_changed_kubeconfig_tells_no_secret", 3_000, &values, |(by_certificate, changes)| {
        let mut config = good(by_certificate);
        for (at, mutation) in changes {
            mutate(&mut config, at, mutation);
        }
        if secrets().iter().any(|secret| names(&config).iter().any(|name| name.contains(secret.as_str()))) {
            Credential::read(&config.to_string()).ok();
            return Ok(());
        }
        read(&config.to_string())?;
        // The same as YAML in blocks, as people write it.
        if let Ok(yaml) = serde_saphyr::to_string(&config) {
            read(&yaml)?;
        }
        Ok(())
    });
}

/// A text of which a piece is cut out, doubled or replaced.
#[test]
fn a_broken_text_tells_no_secret() {
    let piece = prop_oneof![
        select(vec![
            "\"",
            "'",
            "{",
            "}",
            "[",
            "]",
            ":",
            ": ",
            "\n",
            "\t",
            "#",
            "&a ",
            "*a",
            "*b",
            "!!str ",
            "!<x> ",
            "---\n",
            "...\n",
            "<<: ",
            "| ",
            ">\n",
            "? ",
            "- ",
            "\u{0}",
            "\u{feff}",
            "\\",
            "%YAML 1.2\n",
            "é",
            "\u{1f40e}"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
        select(vec!["[", "{a: ", "- ", "? ", "&a [*a, ", "!!map "])
            .prop_flat_map(|open| (1_usize..400).prop_map(|n| open.repeat(n))),
    ];
    let changes = proptest::collection::vec((any::<Index>(), 0_usize..30, piece), 1..5);
    let values = (any::<bool>(), any::<bool>(), changes);
    fuzz("kubeconfig::a_broken_text_tells_no_secret", 3_000, &values, |(by_certificate, in_blocks, changes)| {
        let config = good(by_certificate);
        let mut text = if in_blocks { serde_saphyr::to_string(&config).unwrap() } else { config.to_string() };
        for (at, cut, piece) in changes {
            let mut letters: Vec<char> = text.chars().collect();
            let from = at.index(letters.len() + 1);
            let to = letters.len().min(from + cut);
            letters.splice(from..to, piece.chars());
            text = letters.into_iter().collect();
        }
        // What slid into the place of a name is told.
        let told_as_name = serde_saphyr::from_str::<Value>(&text).is_ok_and(|config| {
            secrets().iter().any(|secret| names(&config).iter().any(|name| name.contains(secret.as_str())))
        });
        if !told_as_name {
            read(&text)?;
        }
        Ok(())
    });
}

/// Any text at all, and aliases that multiply.
#[test]
fn any_text_is_answered_in_time() {
    let bomb = (2_usize..12, 2_usize..12).prop_map(|(width, depth)| {
        let lists = (1..=depth).map(|at| {
            let aliases: Vec<String> = (0..width).map(|_| format!("*a{}", at - 1)).collect();
            format!("l{at}: &a{at} [{}]\n", aliases.join(", "))
        });
        format!("l0: &a0 {CANARY}\n{}", lists.collect::<String>())
    });
    let text = prop_oneof![
        30 => "\\PC{0,200}",
        10 => proptest::collection::vec(any::<char>(), 0..60).prop_map(String::from_iter),
        // Seldom: the parser follows a million aliases before it gives up, which takes it half a second here.
        1 => bomb,
        10 => (select(vec!["[", "{", "- ", "a: \n ", "? ", "!", "&a ", "\"", "#", "{a: "]), 1_usize..40_000).prop_map(|(open, n)| open.repeat(n)),
    ];
    fuzz("kubeconfig::any_text_is_answered_in_time", 500, &text, |text| {
        let taken = read(&text)?;
        prop_assert!(taken.is_none(), "{text:?} was taken");
        Ok(())
    });
}

/// What the tests above start from is good, so that what they find refused is refused for what they did to it.
#[test]
fn the_good_ones_are_taken() {
    for by_certificate in [false, true] {
        let config = good(by_certificate);
        assert!(read(&config.to_string()).unwrap().is_some());
        assert!(read(&serde_saphyr::to_string(&config).unwrap()).unwrap().is_some());
        let empty = Map::from_iter([("exec".to_owned(), Value::Null), ("tokenFile".to_owned(), json!(""))]);
        let mut harmless = config;
        harmless["users"][0]["user"].as_object_mut().unwrap().extend(empty);
        assert!(read(&harmless.to_string()).unwrap().is_some());
    }
}

//! What an S3 server may refuse, each with field, value and fix; and that it can do what the lease rests on.

use std::process::Command;

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::support::{Place, refused, report, worker};

#[test]
fn a_store_that_refuses_says_why() {
    let place = Place::on_s3();
    let s3 = place.s3.as_ref().unwrap();
    let file = |name: &str, access: &str, secret: &str| {
        let path = place.path(name);
        std::fs::write(&path, json!({ "accessKeyId": access, "secretAccessKey": secret }).to_string()).unwrap();
        path
    };
    let at = |command: &str, store: &str, credentials: &std::path::Path| {
        let mut tried = worker(command);
        tried.arg("--store").arg(store).arg("--s3-endpoint").arg(s3.endpoint()).arg("--s3-allow-http");
        tried.arg("--s3-credentials-file").arg(credentials);
        if command != "probe" {
            tried.arg("--key-file").arg(place.path("key"));
        }
        tried
    };
    let good = place.path("credentials");
    let wrong_secret = file("wrong-secret", crate::s3::ACCESS_KEY, "another");
    let wrong_key = file("wrong-key", "nobody", crate::s3::SECRET_KEY);
    for command in ["snapshots", "probe"] {
        for (store, credentials, reason, named) in [
            ("s3://backup/here/finance", &wrong_secret, "StoreCredentialsRefused", "secretAccessKey"),
            ("s3://backup/here/finance", &wrong_key, "StoreCredentialsRefused", "accessKeyId"),
            ("s3://no-such-bucket/here", &good, "BucketMissing", "no-such-bucket"),
        ] {
            let (said, message) = refused(&mut at(command, store, credentials));
            assert_eq!(said, reason, "{command}: {message}");
            assert!(message.contains(named) && !message.contains(crate::s3::SECRET_KEY), "{command}: {message}");
        }
    }
    let (said, message) = refused(&mut at("snapshots", "s3://backup/elsewhere", &good));
    assert_eq!(said, "NoRepository", "{message}");
    let mut without_tls = worker("probe");
    without_tls.arg("--store").arg("s3://backup").arg("--s3-endpoint").arg(s3.endpoint());
    let (said, message) = refused(without_tls.arg("--s3-credentials-file").arg(&good));
    assert!(said == "InvalidInput" && message.contains("TLS"), "{message}");
}

fn probe(place: &Place, more: &[&str]) -> Command {
    let mut probe = worker("probe");
    place.at(&mut probe);
    probe.args(more);
    probe
}

#[test]
fn a_store_is_pinned_and_measured() {
    let place = Place::on_s3();
    let first = report(&mut probe(&place, &[]));
    let identity = first["identity"].as_str().unwrap().to_owned();
    assert_eq!(identity.len(), 32);
    assert!(first["usedBytes"].as_u64().unwrap() > 500, "{first}");
    assert_eq!(report(&mut probe(&place, &["--identity", &identity]))["identity"], identity.as_str());
    let (reason, message) = refused(&mut probe(&place, &["--identity", &"0".repeat(32)]));
    assert_eq!(reason, "AnotherStore", "{message}");
    std::fs::remove_file(place.path("store/zhengyun-store")).unwrap();
    let (reason, message) = refused(&mut probe(&place, &["--identity", &identity]));
    assert_eq!(reason, "AnotherStore", "{message}");
    assert!(!place.path("store/zhengyun-store").exists(), "nothing is written into what is not the one");
    // Two hubs would throw away one another's half-made repositories. In a bucket of its own: the server keeps attributes beside the file
    // that was removed, and still takes the object for one that exists.
    let place = Place::on_s3();
    let ours = report(&mut probe(&place, &["--hub", "hub-1"]));
    assert_eq!(report(&mut probe(&place, &["--hub", "hub-1"]))["identity"], ours["identity"]);
    let (reason, message) = refused(&mut probe(&place, &["--hub", "hub-2"]));
    assert!(reason == "AnotherStore" && message.contains("hub-1"), "{reason}: {message}");
}

#[test]
fn a_store_that_is_down_is_waited_for_by_whoever_started_the_run() {
    let mut place = Place::on_s3();
    let mut listed = place.worker("snapshots");
    place.s3 = None;
    let (reason, message) = refused(&mut listed);
    assert_eq!(reason, "StoreUnreachable", "{message}");
}

#[test]
fn a_clock_that_differs_too_much_is_told() {
    // The clock of neither side can be set here: the answer is simulated, in the words of S3.
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let body = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>";
            let _ = write!(
                stream,
                "HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let place = Place::new();
    let credentials = place.path("credentials");
    std::fs::write(&credentials, json!({ "accessKeyId": "a", "secretAccessKey": "b" }).to_string()).unwrap();
    let mut probe = worker("probe");
    probe.args(["--store", "s3://backup", "--s3-allow-http", "--s3-endpoint", &endpoint]);
    let (reason, message) = refused(probe.arg("--s3-credentials-file").arg(&credentials));
    assert_eq!(reason, "StoreClockSkew", "{message}");
    assert!(message.contains("clock"), "{message}");
}

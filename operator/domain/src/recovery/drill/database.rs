//! The database of a drill: made on the server that the administrator named for the site, restored, compared, and gone before the drill ends.
//!
//! The name tells whose it is and on which server: nothing that stands in an object decides about what is removed there.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use zhengyun_crds::Reason;
use zhengyun_crds::recovery::{DrillPart, RecoveryDrillStatus};
use zhengyun_crds::site::{DrillServer, ExternalSources};

use crate::digest;
use crate::recovery::run::{Fault, Order, Sighting};

/// The database of a part of a drill, by the drill's UID and the place of the part among the others.
pub fn scratch_database(uid: &str, part: usize, server: &DrillServer) -> String {
    let uid: String = uid.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let place = digest::of(&format!("{}:{}", server.host.to_ascii_lowercase(), server.port));
    // Tells one server of a site from another.
    let mark: String = place.trim_start_matches("sha256:").chars().take(8).collect();
    format!("zy_drill_{uid}_{part}_{mark}")
}

/// The server for drills at a site, if one is named and nobody works with it.
///
/// # Errors
/// What keeps drills from it, with the fix.
pub fn drill_server<'a>(
    site: &str,
    named: Option<&'a DrillServer>,
    declared: &BTreeMap<String, ExternalSources>,
) -> Result<&'a DrillServer, Fault> {
    let refuse = |reason: Reason, message| Fault { reason: reason.as_str().to_owned(), message, ..Fault::default() };
    let Some(server) = named else {
        let message = format!(
            "/spec/site: the backup holds databases, and site {site} names no server for drills of them: the cloud administrator sets spec.drillServer of the site (host, port, secretName); 该站点未登记演练用数据库服务器，请云管理员设置站点的 spec.drillServer"
        );
        return Err(refuse(Reason::ActionNotAvailable, message));
    };
    let same = |host: &str, port: i32| host.eq_ignore_ascii_case(&server.host) && port == server.port;
    for (elsewhere, external) in declared {
        if let Some(works) = external.databases.iter().find(|database| same(&database.host, database.port)) {
            let message = format!(
                "/spec/site: spec.drillServer of site {site} is {}:{}, which site {elsewhere} declares as the database {} that people work with (spec.externalSources.databases): the cloud administrator names a server for drills alone; 演练不得使用生产数据库服务器",
                server.host, server.port, works.name
            );
            return Err(refuse(Reason::ActionNotAvailable, message));
        }
    }
    Ok(server)
}

/// A database that a drill may have made, and its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Place of the part among the others.
    pub part: usize,
    /// Name.
    pub name: String,
}

/// The databases that a drill may have made. A part's is written down before its process is started.
pub fn made(status: &RecoveryDrillStatus) -> Vec<Made> {
    let name = |(part, told): (usize, &DrillPart)| Some(Made { part, name: told.database.clone()? });
    status.parts.iter().enumerate().filter_map(name).collect()
}

/// Whether the process of a part is known to have made no database: it said so, of itself and of all that came before it.
pub const fn made_none(sighting: &Sighting) -> bool {
    matches!(sighting, Sighting::Failed(fault) if !fault.wrote)
}

/// What is known of databases that are to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// None of them is there, each with the check that showed it.
    Gone(Vec<String>),
    /// Something is to be done about the process that removes them; and why it is not over, if it stands in the way.
    Ahead(Order, Option<String>),
}

/// What the process that removes databases reports.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Removed {
    #[serde(default)]
    databases: BTreeMap<String, String>,
}

/// What follows from what is seen of that process.
pub fn removal(names: &[&str], sighting: &Sighting) -> Removal {
    match sighting {
        Sighting::Absent | Sighting::Lost => Removal::Ahead(Order::Start, None),
        Sighting::Running { .. } => Removal::Ahead(if sighting.hangs() { Order::Kill } else { Order::Wait }, None),
        // Whatever it is, it is tried until they are gone.
        Sighting::Failed(fault) => Removal::Ahead(fault.order(), Some(fault.message.clone())),
        Sighting::Done(report) => match checks(names, report) {
            Some(checks) => Removal::Gone(checks),
            None => Removal::Ahead(Order::Start, None),
        },
    }
}

/// One for each database; none if the report does not speak of all of them.
fn checks(names: &[&str], report: &Value) -> Option<Vec<String>> {
    let removed: Removed = serde_json::from_value(report.clone()).ok()?;
    let check = |name: &&str| Some(format!("database {name} for drills: {}", removed.databases.get(*name)?));
    names.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use zhengyun_crds::recovery::RecoveryDrillStatus;
    use zhengyun_crds::site::{DrillServer, ExternalSources};

    use super::{Removal, drill_server, made, made_none, removal, scratch_database};
    use crate::recovery::run::{Fault, Order, Sighting, Standing};

    const UID: &str = "6e5c4c0e-5b0f-4a3b-9a57-3f6c2b1d7e11";

    fn server(host: &str, port: i32) -> DrillServer {
        serde_json::from_value(json!({"host": host, "port": port, "secretName": "drill-server"})).unwrap()
    }

    #[test]
    fn a_name_is_that_of_one_part_of_one_drill_on_one_server() {
        let name = scratch_database(UID, 1, &server("db.example", 5432));
        assert!(name.starts_with("zy_drill_6e5c4c0e5b0f4a3b9a573f6c2b1d7e11_1_"), "{name}");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(name.len() <= 63 && name.chars().all(plain), "{name}");
        assert_eq!(name, scratch_database(UID, 1, &server("DB.example", 5432)));
        for other in [
            scratch_database(UID, 2, &server("db.example", 5432)),
            scratch_database(UID, 1, &server("db.example", 5433)),
            scratch_database(UID, 1, &server("db2.example", 5432)),
            scratch_database("7e5c4c0e-5b0f-4a3b-9a57-3f6c2b1d7e11", 1, &server("db.example", 5432)),
        ] {
            assert_ne!(name, other);
        }
    }

    #[test]
    fn a_drill_needs_a_server_that_nobody_works_with() {
        let works = |host: &str, port: i32| -> BTreeMap<String, ExternalSources> {
            let declared = json!({"databases": [{
                "name": "old-pay", "department": "finance", "host": host, "port": port, "databases": ["pay"], "secretName": "s"
            }]});
            BTreeMap::from([("hohhot".to_owned(), serde_json::from_value(declared).unwrap())])
        };
        let named = server("drills.example", 5432);
        for declared in [BTreeMap::new(), works("pay.example", 5432), works("drills.example", 5433)] {
            assert_eq!(drill_server("ulanqab", Some(&named), &declared), Ok(&named));
        }
        let refused = drill_server("ulanqab", Some(&named), &works("Drills.example", 5432)).unwrap_err();
        for told in ["/spec/site", "drills.example:5432", "site hohhot", "old-pay"] {
            assert!(refused.message.contains(told), "{told}: {refused:?}");
        }
        let none = drill_server("ulanqab", None, &BTreeMap::new()).unwrap_err();
        assert!(none.reason == "ActionNotAvailable" && none.message.contains("spec.drillServer"), "{none:?}");
    }

    #[test]
    fn what_may_have_been_made_is_what_was_written_down() {
        let status: RecoveryDrillStatus = serde_json::from_value(json!({"parts": [
            {"source": "space"}, {"source": "rows", "database": "a"}, {"source": "more"}, {"source": "bills", "database": "b"}
        ]}))
        .unwrap();
        let found: Vec<(usize, String)> = made(&status).into_iter().map(|made| (made.part, made.name)).collect();
        assert_eq!(found, [(1, "a".to_owned()), (3, "b".to_owned())]);
    }

    fn failed(wrote: bool, seconds_ago: u64) -> Sighting {
        let fault =
            Fault { reason: "DatabaseUnreachable".to_owned(), message: "no answer".to_owned(), ..Fault::default() };
        Sighting::Failed(Fault { wrote, seconds_ago, ..fault })
    }

    #[test]
    fn only_a_process_that_says_so_made_none() {
        assert!(made_none(&failed(false, 0)));
        let running = Sighting::Running { standing: Standing::default(), silent_seconds: 0 };
        for other in [failed(true, 0), Sighting::Absent, Sighting::Lost, Sighting::Done(json!({})), running] {
            assert!(!made_none(&other), "{other:?}");
        }
    }

    #[test]
    fn databases_are_gone_once_the_server_was_asked_for_each_of_them() {
        let names = ["a", "b"];
        let done = |report: Value| removal(&names, &Sighting::Done(report));
        assert_eq!(
            done(json!({"databases": {"a": "not found", "b": "of somebody else"}})),
            Removal::Gone(vec![
                "database a for drills: not found".to_owned(),
                "database b for drills: of somebody else".to_owned()
            ])
        );
        let again = Removal::Ahead(Order::Start, None);
        for report in [json!({"databases": {"a": "not found"}}), json!({}), json!({"databases": 1})] {
            assert_eq!(done(report.clone()), again, "{report}");
        }
        for sighting in [Sighting::Absent, Sighting::Lost] {
            assert_eq!(removal(&names, &sighting), again);
        }
        let running = |silent_seconds| Sighting::Running { standing: Standing::default(), silent_seconds };
        assert_eq!(removal(&names, &running(0)), Removal::Ahead(Order::Wait, None));
        assert_eq!(removal(&names, &running(301)), Removal::Ahead(Order::Kill, None));
        let why = Some("no answer".to_owned());
        assert_eq!(removal(&names, &failed(false, 0)), Removal::Ahead(Order::StartLater, why.clone()));
        assert_eq!(removal(&names, &failed(true, 9)), Removal::Ahead(Order::Start, why));
    }
}

//! Databases as sources and targets: which ones a department may name, and what a process is told of them.
//!
//! A plan names a database that a grant delivered or one that an administrator declared. For the first, the process reads how it is
//! reached from Secrets in the grant's own namespace, so no password of a department's comes here. For the second, address and Secret
//! are the administrator's.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use zhengyun_crds::recovery::{DatabaseSource, GrantItemSource};
use zhengyun_crds::site::{DrillServer, ExternalSources};
use zhengyun_crds::{MachineRoom, Reason, marks};
use zhengyun_domain::recovery::backup::delivered;

use super::super::Context;
use super::order::{Refusal, refused};
use super::reach::{self, Ground};
use super::{DatabasePolicy, Recovery};
use crate::executor::Task;
use crate::runtime::controller::ReconcileError;

/// A database, and where it is.
#[derive(Clone, Debug)]
pub enum Database {
    /// One that an administrator declared.
    Declared(Declared),
    /// One that a grant delivered: a CloudNativePG cluster in its namespace.
    Delivered {
        /// Where the grant stands.
        ground: Ground,
        /// Name of the cluster.
        cluster: String,
    },
}

/// A declared database.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Site or machine room that declares it.
    site: String,
    /// What names it, for messages.
    place: String,
    host: String,
    port: i32,
    secret: String,
    database: String,
    department: String,
}

impl Database {
    /// The site that it is read or written from.
    pub fn site(&self) -> &str {
        match self {
            Self::Declared(declared) => &declared.site,
            Self::Delivered { ground, .. } => &ground.site,
        }
    }
}

/// The database of an order line of a grant.
pub fn of_item(context: &Context, namespace: &str, from: &GrantItemSource) -> Result<Database, Refusal> {
    // The address stands in a Secret that the department may write, and the process runs beside the hub: until an administrator can say
    // where such an address may lead, only a laboratory follows it.
    if !super::of(context).is_some_and(|recovery| recovery.databases().lab_local) {
        let message = format!(
            "database {} of grant {}: databases that a grant delivered are not backed up by themselves in this version, but for laboratories (--lab-local-databases): have the cloud administrator declare it (origin.database), or back it up from within; 本版本不单独备份授予所交付的数据库，请由云管理员登记为 origin.database",
            from.item, from.grant
        );
        return Err(refused(Reason::ActionNotAvailable, message));
    }
    let Some(ground) = reach::ground(context, namespace, &from.grant) else {
        return Err(refused(Reason::GrantNotLive, format!("grant {} is not in service", from.grant)));
    };
    let known = context.watches.grants.get_in(namespace, &from.grant).map(|g| delivered(&g)).unwrap_or_default();
    if !known.contains(&from.item) {
        let known: Vec<String> = known.into_iter().collect();
        let message = format!(
            "grant {} delivered no database {}: it delivered {}; only databases (postgresql) are backed up by themselves in this version",
            from.grant,
            from.item,
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        );
        return Err(refused(Reason::SourceRefused, message));
    }
    Ok(Database::Delivered { ground, cluster: from.item.clone() })
}

/// A declared database; another department's is answered like one that is not declared.
pub fn declared(context: &Context, department: &str, from: &DatabaseSource) -> Result<Database, Refusal> {
    declared_at_site(context, department, (&from.site, &from.endpoint, &from.database)).map(Database::Declared)
}

/// A database that a site declares: site, endpoint, database.
pub fn declared_at_site(
    context: &Context,
    department: &str,
    (site, endpoint, database): (&str, &str, &str),
) -> Result<Declared, Refusal> {
    let found = context.watches.sites.get(site);
    let external = found.and_then(|site| site.spec.external_sources.clone()).unwrap_or_default();
    let by = By { kind: "site", name: site, field: "spec.externalSources.databases" };
    by.find(external, department, endpoint, database)
}

/// A database that a machine room declares: endpoint, database.
pub fn declared_in_room(
    room: &MachineRoom,
    department: &str,
    (endpoint, database): (&str, &str),
) -> Result<Declared, Refusal> {
    let name = room.name_any();
    let by = By { kind: "machine room", name: &name, field: "spec.sources.databases" };
    by.find(room.spec.sources.clone(), department, endpoint, database)
}

/// What declares a database.
struct By<'a> {
    kind: &'a str,
    name: &'a str,
    field: &'a str,
}

impl By<'_> {
    fn find(
        &self,
        declared: ExternalSources,
        department: &str,
        endpoint: &str,
        database: &str,
    ) -> Result<Declared, Refusal> {
        let Self { kind, name, field } = self;
        let found = declared.databases.into_iter().find(|d| d.name == endpoint && d.department == department);
        let Some(found) = found else {
            let message = format!(
                "{kind} {name} declares no database {endpoint} for department {department}: the cloud administrator adds it to its {field}"
            );
            return Err(refused(Reason::SourceRefused, message));
        };
        if !found.databases.iter().any(|known| known == database) {
            let message = format!(
                "{endpoint} of {kind} {name} is declared for the databases {}, and not for {database}: name one of these, or have the cloud administrator add it to the declaration's databases",
                found.databases.join(", ")
            );
            return Err(refused(Reason::SourceRefused, message));
        }
        Ok(Declared {
            site: (*name).to_owned(),
            place: format!("{field} of {kind} {name}, {endpoint}"),
            host: found.host,
            port: found.port,
            secret: found.secret_name,
            database: database.to_owned(),
            department: department.to_owned(),
        })
    }
}

/// The database of a server for drills from which others are created. Its Secret is marked with the department that drills are charged to.
pub fn of_drill_server(site: &str, server: &DrillServer) -> Declared {
    Declared {
        site: site.to_owned(),
        place: format!("spec.drillServer of site {site}"),
        host: server.host.clone(),
        port: server.port,
        secret: server.secret_name.clone(),
        database: server.database.clone(),
        department: marks::DRILL_DEPARTMENT.to_owned(),
    }
}

impl Declared {
    /// Where it is: host, port and database.
    pub fn address(&self) -> (&str, i32, &str) {
        (&self.host, self.port, &self.database)
    }

    /// What names it.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// How a process logs in, or what is missing.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub async fn login(
        &self,
        context: &Context,
        policy: &DatabasePolicy,
    ) -> Result<Result<SecretString, String>, ReconcileError> {
        let (name, namespace) = (&self.secret, marks::SYSTEM_NAMESPACE);
        let fix = format!(
            "the cloud administrator makes it: kubectl --namespace {namespace} create secret generic {name} --from-literal=username=... --from-literal=password=... --from-file=ca.crt=..., and marks it: kubectl --namespace {namespace} label secret {name} {}={}",
            marks::LABEL_DEPARTMENT,
            self.department
        );
        let place = format!("{}: secretName", self.place);
        let secrets: Api<Secret> = context.namespaced(namespace);
        // One that is not marked as this department's is answered like one that is not there.
        let is_own = |s: &Secret| s.labels().get(marks::LABEL_DEPARTMENT) == Some(&self.department);
        let Some(secret) = secrets.get_opt(name).await?.filter(is_own) else {
            return Ok(Err(format!("{place}: there is no Secret {name} for department {}: {fix}", self.department)));
        };
        let text = |key: &str| String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok();
        let (Some(user), Some(password)) = (text("username"), text("password")) else {
            return Ok(Err(format!("{place}: Secret {name} needs the keys username and password: {fix}")));
        };
        let mut login = json!({
            "host": self.host, "port": self.port, "database": self.database, "user": user, "password": password
        });
        match (text("ca.crt"), login.as_object_mut()) {
            (Some(ca), Some(login)) => {
                login.insert("ca".to_owned(), ca.into());
            }
            (None, _) if !policy.lab_local => {
                return Ok(Err(format!("{place}: Secret {name} has no key ca.crt: {fix}")));
            }
            _ => {}
        }
        Ok(Ok(login.to_string().into()))
    }
}

/// Tells a process where databases may be.
pub fn policy(recovery: &Recovery, task: &mut Task) {
    let policy = recovery.databases();
    if policy.lab_local {
        // There the hub itself is on this machine.
        task.text("--lab-local-databases");
        return;
    }
    for address in &policy.refused {
        task.option("--refuse-address", address.to_string());
    }
}

/// Gives a process the logins of declared databases, by the names of their sources; or says what is missing.
///
/// # Errors
/// When the hub does not answer.
pub async fn logins(
    context: &Context,
    recovery: &Recovery,
    declared: &[(&str, &Declared)],
    task: &mut Task,
) -> Result<Result<(), String>, ReconcileError> {
    let mut all = Map::new();
    for (source, declared) in declared {
        let login = match declared.login(context, recovery.databases()).await? {
            Ok(login) => login,
            Err(message) => return Ok(Err(message)),
        };
        let login =
            serde_json::from_str(login.expose_secret()).map_err(|e| ReconcileError::Transient(e.to_string()))?;
        all.insert((*source).to_owned(), login);
    }
    if !all.is_empty() {
        task.secret("--databases-file", "databases", Value::Object(all).to_string().into());
    }
    Ok(Ok(()))
}

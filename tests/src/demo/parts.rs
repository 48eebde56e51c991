//! What the stories have in common: what administrators declare and departments order before anything can be told.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::{Value, json};
use zhengyun_crds::{GrantPhase, Site};

use super::{Stage, scenes};
use crate::lab::postgres::{PASSWORD, Superuser};
use crate::lab::supervisor::{self, Command};
use crate::lab::wait::settled;

/// Longest wait for what takes the product a second or two.
pub(super) const SOON: Duration = Duration::from_mins(1);
pub(super) const API: &str = "zhengyun.io/v1alpha1";

/// A department's clerk, and where the clerk works.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) stage: &'a Stage,
    pub(super) department: &'a str,
    pub(super) clerk: &'a str,
}

impl Desk<'_> {
    pub(super) fn namespace(&self) -> String {
        format!("dept-{}", self.department)
    }
}

pub(super) fn object(value: Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(value)?)
}

/// A backup store in a folder, at a site.
pub(super) fn store(name: &str, site: &str, folder: &Path) -> Result<DynamicObject> {
    object(json!({
        "apiVersion": API, "kind": "BackupStore", "metadata": { "name": name },
        "spec": {
            "displayNames": { "zh-CN": { "full": format!("{site} 备份库（演示）") }, "en": { "full": format!("Store at {site} (demo)") } },
            "site": site, "backend": { "filesystem": { "path": folder.display().to_string() } }
        }
    }))
}

/// A Secret of the operator's, marked with whom it is for.
pub(super) async fn secret(admin: &Client, (name, of): (&str, &str), text: Vec<(&str, String)>) -> Result<()> {
    let secret = Secret {
        metadata: kube::api::ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([("zhengyun.io/department".to_owned(), of.to_owned())].into()),
            ..Default::default()
        },
        string_data: Some(text.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ..Default::default()
    };
    Api::<Secret>::namespaced(admin.clone(), "zhengyun-system").create(&PostParams::default(), &secret).await?;
    Ok(())
}

/// What a user of a database server logs in with.
pub(super) fn login(user: &str) -> Vec<(&'static str, String)> {
    vec![("username", user.to_owned()), ("password", PASSWORD.to_owned())]
}

/// A department's key of 32 bytes, made for this run.
pub(super) async fn key(admin: &Client, name: &str, department: &str) -> Result<()> {
    let mut key = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    secret(admin, (name, department), vec![("key", data_encoding::BASE64.encode(&key))]).await
}

/// The port of a database server of the lab, which is started if it does not run.
pub(super) async fn database_port(stage: &Stage, name: &str) -> Result<u16> {
    let start = Command::StartDatabase(name.to_owned());
    supervisor::request(stage.dir(), &start).await?.parse().context("the supervisor answers with a port")
}

/// Ends a database server of the lab; its data go with it.
pub(super) async fn end_database(stage: &Stage, name: &str) -> Result<()> {
    supervisor::request(stage.dir(), &Command::StopDatabase(name.to_owned())).await.map(drop)
}

/// Databases of drills at a site are made on a server of their own, by a user who may do nothing else.
pub(super) async fn server_for_drills(stage: &Stage, admin: &Client, name: &str, site: &str) -> Result<()> {
    let port = database_port(stage, name).await?;
    let server = Superuser::at(port)?;
    let role = format!("CREATE ROLE drill LOGIN CREATEDB PASSWORD '{PASSWORD}'");
    tokio::task::spawn_blocking(move || server.sql("postgres", &role)).await??;
    let server = json!({ "spec": { "drillServer": { "host": "127.0.0.1", "port": port, "secretName": name } } });
    Api::<Site>::all(admin.clone()).patch(site, &PatchParams::default(), &Patch::Merge(&server)).await?;
    secret(admin, (name, "drill"), login("drill")).await
}

/// Spaces of the class `Test` are granted without anybody's decision: approvals are told by another story. Two policies of one priority
/// would block each other, and tests have such a policy at 900.
pub(super) fn without_stages() -> Result<DynamicObject> {
    object(json!({
        "apiVersion": API, "kind": "ApprovalPolicy", "metadata": { "name": "demo-without-stages" },
        "spec": {
            "displayNames": { "zh-CN": { "full": "演示免审批" }, "en": { "full": "No stages, for demos" } },
            "match": "request.action == 'Create' && request.class == 'Test'", "priority": 910,
            "autoApprove": { "basis": "a demo" }, "confirm": "Auto", "holdSeconds": 0
        }
    }))
}

/// A container space for a system of the department at a site, in service: grant and namespace.
pub(super) async fn space(
    desk: &Desk<'_>,
    name: &str,
    (system, site): (&str, &str),
    justification: &str,
) -> Result<(String, String)> {
    let (stage, department) = (desk.stage, desk.department);
    let clerk = stage.door(desk.clerk)?;
    let order = json!({
        "action": "Create", "system": system, "site": site, "class": "Test", "justification": justification,
        "items": [{ "item": "container-space", "name": "space", "parameters": { "cpu": "4", "memory": "8Gi" } }]
    });
    clerk.create(department, name, &order).await?;
    settled(&format!("request {name} can be submitted"), SOON, || async {
        Ok(clerk.submit(department, name).await.map(drop).map_err(|error| error.to_string()))
    })
    .await?;
    let grant = scenes::granted(stage, department, name).await?;
    let namespace = scenes::grant_in(stage, department, &grant, "InService", |grant| {
        let status = grant.status.clone().unwrap_or_default();
        (status.phase == Some(GrantPhase::InService)).then_some(status.namespace).flatten()
    })
    .await?;
    Ok((grant, namespace))
}

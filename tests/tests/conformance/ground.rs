//! The two servers: a real control plane of the lab, of which only the API server and its store run, and the one in memory.

use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Api;
use kube::Client;
use kube::api::{DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use rustix::process::Signal;
use serde_json::Value;
use zhengyun_operator::runtime::clock::Clock;
use zhengyun_tests::apiserver::{Apiserver, ApiserverOptions, User};
use zhengyun_tests::lab::{Lab, LabOptions, install, project_root, wait};

use super::memory::Memory;
use super::side::{Door, Side};
use super::step::Step;
use super::{guards, kinds};

/// The two servers.
pub(crate) struct Ground {
    // Dropping it ends the real one.
    _lab: Lab,
    real: Client,
    memory: Apiserver,
}

impl Ground {
    pub(crate) async fn prepare() -> Result<Self> {
        let options = LabOptions { product: false, provisioner: None, people: Vec::new(), ..LabOptions::new(&[])? };
        let lab = Lab::start(options).await?;
        let real = lab.hub().client_admin()?;
        install::apply(&real, installed()?).await?;
        warm(&real).await?;
        // The cluster's controllers would write, too, and a sequence compares every event.
        let processes = lab.hub().processes();
        let manager = processes.iter().find(|p| p.name().ends_with("kube-controller-manager"));
        manager.context("a control plane has controllers")?.signal(Signal::STOP)?;
        Ok(Self { _lab: lab, real, memory: memory().await? })
    }

    /// The two sides of one sequence.
    pub(crate) fn sides(&self) -> (Side, Side) {
        (Side::new(Door::Real(self.real.clone())), Side::new(Door::Memory(copy(&self.memory))))
    }
}

/// Two sides that are both in memory; some steps went to the second one before.
pub(crate) async fn in_memory(before: &[Step]) -> Result<(Side, Side)> {
    let server = memory().await?;
    let mut second = Side::new(Door::Memory(copy(&server)));
    for step in before {
        if let Step::Call(call) = step {
            second.call(call).await?;
        }
    }
    second.memory = Memory::default();
    Ok((Side::new(Door::Memory(server)), second))
}

fn copy(server: &Apiserver) -> Apiserver {
    server.copy(ApiserverOptions::new("conformance", Clock::system()))
}

/// What both servers have before anything begins.
fn installed() -> Result<Vec<DynamicObject>> {
    let mut all = install::read_folder(&project_root().join("crds/yaml"))?;
    all.push(serde_json::from_value(kinds::widget_definition())?);
    for guard in guards::all() {
        all.push(serde_json::from_value(guard)?);
    }
    Ok(all)
}

async fn memory() -> Result<Apiserver> {
    let memory = Apiserver::new(ApiserverOptions::new("conformance", Clock::system()));
    let client = memory.client(&User::system(), "conformance");
    for object in installed()? {
        let types = object.types.clone().context("an object has a kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        api.create(&PostParams::default(), &object).await?;
    }
    Ok(memory)
}

/// Asks for every kind until the real server serves it from its cache, which a new definition takes a moment to fill.
async fn warm(real: &Client) -> Result<()> {
    for kind in kinds::KINDS.iter() {
        let path = kind.collection("default");
        wait::until(&path, Duration::from_secs(30), || async {
            Ok(real.request::<Value>(http::Request::get(&path).body(Vec::new())?).await.ok())
        })
        .await?;
    }
    Ok(())
}

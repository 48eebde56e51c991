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

use super::kinds;
use super::side::{Door, Side};

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
        let mut definitions = install::read_folder(&project_root().join("crds/yaml"))?;
        definitions.push(serde_json::from_value(kinds::widget_definition())?);
        install::apply(&real, definitions.clone()).await?;
        warm(&real).await?;
        // The cluster's controllers would write, too, and a sequence compares every event.
        let processes = lab.hub().processes();
        let manager = processes.iter().find(|p| p.name().ends_with("kube-controller-manager"));
        manager.context("a control plane has controllers")?.signal(Signal::STOP)?;
        let memory = Apiserver::new(ApiserverOptions::new("conformance", Clock::system()));
        let client = memory.client(&User::system(), "conformance");
        for definition in definitions {
            let types = definition.types.clone().context("a definition has a kind")?;
            let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            api.create(&PostParams::default(), &definition).await?;
        }
        Ok(Self { _lab: lab, real, memory })
    }

    /// The two sides of one sequence.
    pub(crate) fn sides(&self) -> (Side, Side) {
        let memory = self.memory.copy(ApiserverOptions::new("conformance", Clock::system()));
        (Side::new(Door::Real(self.real.clone())), Side::new(Door::Memory(memory)))
    }

    /// Sends an object to both before everything begins.
    #[allow(dead_code, reason = "policies of parts of the sequences")]
    pub(crate) async fn both(&self, object: Value) -> Result<()> {
        let objects: Vec<DynamicObject> = vec![serde_json::from_value(object)?];
        install::apply(&self.real, objects).await
    }
}

/// Asks for every kind until the real server serves it from its cache, which a new definition takes a moment to fill.
async fn warm(real: &Client) -> Result<()> {
    for kind in kinds::KINDS {
        let path = kind.collection("default");
        wait::until(&path, Duration::from_secs(30), || async {
            Ok(real.request::<Value>(http::Request::get(&path).body(Vec::new())?).await.ok())
        })
        .await?;
    }
    Ok(())
}

//! A store that is a bucket: versitygw on loopback, under the operator's laboratory flag for buckets without TLS.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use zhengyun_crds::BackupStore;
use zhengyun_crds::recovery::{BackupPhase, CopyState, RestorePhase};
use zhengyun_tests::lab::s3::{ACCESS_KEY, S3, SECRET_KEY};
use zhengyun_tests::world;

use super::ground::{CLERK, Ground, NAMESPACE};

const STORE: &str = "bucket-1";
const PLAN: &str = "in-a-bucket";
const SECRET: &str = "bucket-key";

pub(crate) async fn used(ground: &Ground) -> Result<()> {
    let server = S3::start(&["government-backup"])?;
    let admin = ground.town.client_of("cloud-admin")?;
    world::apply(&admin, &[store(STORE, &server.endpoint(), "government-backup")?]).await?;
    // Each thing that is wrong, in the order in which one stumbles over it.
    let said = ground.store_named_says(STORE, "no Secret").await?;
    ensure!(said.contains("spec.backend.s3.secretName") && said.contains(SECRET), "{said}");
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), "zhengyun-system");
    let key = json!({ "metadata": { "name": SECRET }, "stringData": { "accessKeyId": ACCESS_KEY, "secretAccessKey": "wrong" } });
    secrets.create(&PostParams::default(), &serde_json::from_value(key)?).await?;
    let said = ground.store_named_says(STORE, "StoreCredentialsRefused").await?;
    ensure!(said.contains("secretAccessKey") && !said.contains("wrong"), "{said}");
    let right = json!({ "stringData": { "secretAccessKey": SECRET_KEY } });
    secrets.patch(SECRET, &PatchParams::default(), &Patch::Merge(&right)).await?;
    world::apply(&admin, &[store("bucket-2", &server.endpoint(), "absent-bucket")?]).await?;
    let said = ground.store_named_says("bucket-2", "BucketMissing").await?;
    ensure!(said.contains("absent-bucket"), "{said}");
    ground.store_named_says(STORE, "Ready=True").await?;

    world::apply(&ground.town.client_of(CLERK)?, &[plan(&ground.home_grant())?]).await?;
    ground.ask_backup_of(PLAN, "in-a-bucket").await?;
    let status = ground.backup_ends("in-a-bucket", BackupPhase::Completed).await?;
    let copy = status.copies.first().context("a completed backup has a copy")?;
    ensure!(copy.store == STORE && copy.state == CopyState::Verified, "{copy:?}");
    let stored = server.bucket("government-backup").join("region/finance/config");
    ensure!(stored.is_file(), "the repository is where the store says: {}", stored.display());
    let planned = ground.restore_of("in-a-bucket", "from-a-bucket", None).await?;
    ensure!(planned.phase == Some(RestorePhase::Planned), "{:?}", planned.failure);
    let counts = planned.planned.unwrap_or_default();
    ensure!(counts.unchanged > 0 && counts.created + counts.conflicts == 0, "{counts:?}");
    let api: Api<BackupStore> = Api::all(ground.town.admin()?);
    let store = api.get(STORE).await?.status.unwrap_or_default();
    ensure!(store.identity.is_some() && store.used.is_some(), "{:?} {:?}", store.identity, store.used);
    Ok(())
}

fn store(name: &str, endpoint: &str, bucket: &str) -> Result<kube::core::DynamicObject> {
    let spec: Value = json!({
        "displayNames": { "zh-CN": { "full": "测试用存储桶" }, "en": { "full": "A bucket for the test" } },
        "site": "hohhot",
        "backend": { "s3": { "endpoint": endpoint, "bucket": bucket, "prefix": "region", "secretName": SECRET } }
    });
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "BackupStore", "metadata": { "name": name }, "spec": spec
    }))?)
}

fn plan(grant: &str) -> Result<kube::core::DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "zhengyun.io/v1alpha1", "kind": "RecoveryPlan",
        "metadata": { "name": PLAN, "namespace": NAMESPACE },
        "spec": {
            "system": "finance-e-invoice", "level": 1, "ceiling": "10Gi",
            "sources": [{ "name": "space", "origin": { "namespace": { "grant": grant } } }],
            "schedule": { "cron": "0 0 1 1 *" }, "retention": { "last": 7 }, "copies": [{ "store": STORE }],
            "objectives": { "rpo": "6h", "rto": "1d" }, "encryption": { "secretName": "key-finance" }
        }
    }))?)
}

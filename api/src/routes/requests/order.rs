//! What a request asks for, as it stands in bodies and answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use zhengyun_crds::grant::GrantClass;
use zhengyun_crds::request::{Action, Disposition};

use crate::words::{ActionWord, DispositionWord, GrantClassWord};

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "authorityOrder is the field's name in the custom resource")]
pub(crate) struct Order {
    /// What is asked for. This version offers Create and Revoke.
    #[schema(value_type = ActionWord)]
    pub(crate) action: Action,
    /// Information system that the resources are for; required for Create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 58)]
    pub(crate) system: Option<String>,
    /// Site.
    #[schema(min_length = 1, max_length = 40)]
    pub(crate) site: String,
    /// Grant that the order is about; required except for Create, which names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 63)]
    pub(crate) grant: Option<String>,
    /// Revision of the grant that the order starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub(crate) base_revision: Option<i64>,
    /// Class of the grant; Standard unless stated.
    #[serde(default = "standard")]
    #[schema(value_type = GrantClassWord, default = "Standard")]
    pub(crate) class: GrantClass,
    /// Lines of the order; at least one for Create.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub(crate) items: Vec<OrderItem>,
    /// Day on which the lease ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Date, pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    pub(crate) lease_end: Option<String>,
    /// What happens to data (Revoke).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DispositionWord>)]
    pub(crate) disposition: Option<Disposition>,
    /// Set when the authority itself orders a Revoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authority_order: Option<AuthorityOrder>,
    /// Why it is needed.
    #[schema(min_length = 1, max_length = 2048)]
    pub(crate) justification: String,
}

/// One line of an order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OrderItem {
    /// Service of the catalogue.
    #[schema(min_length = 1, max_length = 40)]
    pub(crate) item: String,
    /// Name within the grant; what is delivered is named after it.
    #[schema(min_length = 1, max_length = 30, pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
    pub(crate) name: String,
    /// How many of it; 1 unless stated.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 100, default = 1)]
    pub(crate) count: i32,
    /// Parameters by the service's schema.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) parameters: Map<String, Value>,
}

/// An order of the cloud authority itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AuthorityOrder {
    /// Why.
    #[schema(min_length = 1, max_length = 1024)]
    pub(crate) reason: String,
    /// The rule that allows it, with its clause.
    #[schema(min_length = 1, max_length = 512)]
    pub(crate) legal_basis: String,
}

/// A document that goes with a request, kept elsewhere and named by its digest.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Material {
    /// What it is: 申请公函, 技术方案, ...
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) kind: String,
    /// Its title.
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) title: String,
    /// SHA-256 of the document in hexadecimal digits.
    #[schema(pattern = r"^[0-9a-f]{64}$")]
    pub(crate) sha256: String,
    /// Where it is kept.
    #[schema(min_length = 1, max_length = 512)]
    pub(crate) reference: String,
}

fn standard() -> GrantClass {
    GrantClass::Standard
}

fn one() -> i32 {
    1
}

impl From<Order> for zhengyun_crds::request::Order {
    fn from(order: Order) -> Self {
        let Order {
            action,
            system,
            site,
            grant,
            base_revision,
            class,
            items,
            lease_end,
            disposition,
            authority_order,
            justification,
        } = order;
        Self {
            action,
            system,
            site,
            grant,
            base_revision,
            class,
            items: items.into_iter().map(Into::into).collect(),
            lease_end,
            disposition,
            authority_order: authority_order.map(Into::into),
            justification,
        }
    }
}

impl From<&zhengyun_crds::request::Order> for Order {
    fn from(order: &zhengyun_crds::request::Order) -> Self {
        let order = order.clone();
        Self {
            action: order.action,
            system: order.system,
            site: order.site,
            grant: order.grant,
            base_revision: order.base_revision,
            class: order.class,
            items: order.items.into_iter().map(Into::into).collect(),
            lease_end: order.lease_end,
            disposition: order.disposition,
            authority_order: order.authority_order.map(Into::into),
            justification: order.justification,
        }
    }
}

impl From<OrderItem> for zhengyun_crds::request::OrderItem {
    fn from(OrderItem { item, name, count, parameters }: OrderItem) -> Self {
        Self { item, name, count, parameters }
    }
}

impl From<zhengyun_crds::request::OrderItem> for OrderItem {
    fn from(line: zhengyun_crds::request::OrderItem) -> Self {
        Self { item: line.item, name: line.name, count: line.count, parameters: line.parameters }
    }
}

impl From<AuthorityOrder> for zhengyun_crds::request::AuthorityOrder {
    fn from(AuthorityOrder { reason, legal_basis }: AuthorityOrder) -> Self {
        Self { reason, legal_basis }
    }
}

impl From<zhengyun_crds::request::AuthorityOrder> for AuthorityOrder {
    fn from(order: zhengyun_crds::request::AuthorityOrder) -> Self {
        Self { reason: order.reason, legal_basis: order.legal_basis }
    }
}

impl From<Material> for zhengyun_crds::request::Material {
    fn from(Material { kind, title, sha256, reference }: Material) -> Self {
        Self { kind, title, sha256, reference }
    }
}

impl From<&zhengyun_crds::request::Material> for Material {
    fn from(material: &zhengyun_crds::request::Material) -> Self {
        let material = material.clone();
        Self { kind: material.kind, title: material.title, sha256: material.sha256, reference: material.reference }
    }
}

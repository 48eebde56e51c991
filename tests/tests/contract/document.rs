//! The committed OpenAPI document: which operations there are, and what each may answer.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};
use zhengyun_tests::lab::project_root;

use crate::problem::MEDIA_TYPE;

/// `api/openapi.json`.
#[derive(Debug)]
pub(crate) struct Document {
    /// As it is committed.
    pub(crate) json: Value,
    /// By `operationId`.
    pub(crate) operations: BTreeMap<String, Operation>,
    problem: Validator,
    /// The codes that `docs/api.md` tells, as text.
    page: String,
}

/// One method of one route.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Method.
    pub(crate) method: Method,
    /// Path with its parameters in braces.
    pub(crate) path: String,
    /// Whether it needs no token.
    pub(crate) open: bool,
    /// Whether it takes a body.
    pub(crate) takes_body: bool,
    /// Whether it is a list with pages.
    pub(crate) is_list: bool,
    answers: BTreeMap<u16, Promised>,
}

/// What the document says of one status.
#[derive(Debug)]
struct Promised {
    media: String,
    /// None for problems, which share one schema.
    schema: Option<Validator>,
    headers: Vec<String>,
}

impl Document {
    /// Reads the committed document and compiles its schemas.
    pub(crate) fn read() -> Result<Self> {
        let text = std::fs::read_to_string(project_root().join("api/openapi.json")).context("read api/openapi.json")?;
        let json: Value = serde_json::from_str(&text)?;
        let mut strict = json.clone();
        close(&mut strict);
        let mut operations = BTreeMap::new();
        for (path, methods) in strict["paths"].as_object().context("the document has paths")? {
            for (method, operation) in methods.as_object().context("a path has methods")? {
                let id = operation["operationId"].as_str().context("an operation has an operationId")?;
                let read = Operation::read(method, path, operation, &strict)?;
                anyhow::ensure!(operations.insert(id.to_owned(), read).is_none(), "operationId {id} twice");
            }
        }
        let problem = validator(&json!({"$ref": "#/components/schemas/Problem"}), &strict)?;
        let page = std::fs::read_to_string(project_root().join("docs/api.md")).context("read docs/api.md")?;
        Ok(Self { json, operations, problem, page })
    }

    /// Everything in which an answer departs from what the document says of the operation.
    pub(crate) fn departures(
        &self,
        id: &str,
        status: u16,
        media: &str,
        headers: &[String],
        body: &Value,
    ) -> Vec<String> {
        let operation = &self.operations[id];
        let Some(promised) = operation.answers.get(&status) else {
            return vec![format!("status {status} is not in the document")];
        };
        let mut found = Vec::new();
        if media != promised.media {
            found.push(format!("content type {media:?}, the document says {:?}", promised.media));
        }
        for header in &promised.headers {
            // A preview has no tag: nothing was written.
            let is_preview = ["siteCheck", "nextRuns"].iter().any(|part| body.get(part).is_some());
            if !headers.contains(header) && !is_preview {
                found.push(format!("no header {header}, which the document promises for {status}"));
            }
        }
        match &promised.schema {
            Some(schema) => found.extend(errors(schema, body)),
            None => found.extend(self.departures_of_problem(body)),
        }
        found
    }

    /// Every success that the document promises, by operation.
    pub(crate) fn successes(&self) -> impl Iterator<Item = (String, u16)> {
        let of = |(id, operation): (&String, &Operation)| {
            let statuses = operation.answers.keys().filter(|status| **status < 400);
            statuses.map(|status| (id.clone(), *status)).collect::<Vec<_>>()
        };
        self.operations.iter().flat_map(of)
    }

    /// Everything in which a problem departs from the one schema of problems.
    pub(crate) fn departures_of_problem(&self, body: &Value) -> Vec<String> {
        errors(&self.problem, body)
    }

    /// Whether the page for people tells this code.
    pub(crate) fn page_tells(&self, code: &str) -> bool {
        self.page.contains(&format!("`{code}`"))
    }

    /// The methods of a path, as `Allow` names them.
    pub(crate) fn methods_of(&self, path: &str) -> Vec<String> {
        let methods = self.operations.values().filter(|o| o.path == path).map(|o| o.method.to_string());
        methods.collect()
    }
}

impl Operation {
    fn read(method: &str, path: &str, operation: &Value, document: &Value) -> Result<Self> {
        let mut answers = BTreeMap::new();
        for (status, answer) in operation["responses"].as_object().context("an operation has responses")? {
            answers.insert(
                status.parse()?,
                Promised::read(answer, document).with_context(|| format!("{method} {path} {status}"))?,
            );
        }
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        Ok(Self {
            method: method.to_uppercase().parse()?,
            path: path.to_owned(),
            // An empty requirement among the alternatives means that none is needed.
            open: operation["security"].as_array().is_some_and(|all| all.iter().any(|one| *one == json!({}))),
            takes_body: operation["requestBody"].is_object(),
            is_list: parameters.filter_map(|p| p["name"].as_str()).any(|name| name == "pageToken"),
            answers,
        })
    }
}

impl Promised {
    fn read(answer: &Value, document: &Value) -> Result<Self> {
        let contents = answer["content"].as_object().context("an answer has a body")?;
        anyhow::ensure!(contents.len() == 1, "one media type per answer");
        let (media, content) = contents.iter().next().context("a media type")?;
        let schema = if media == MEDIA_TYPE {
            anyhow::ensure!(content["schema"]["$ref"] == "#/components/schemas/Problem", "problems have one schema");
            None
        } else {
            Some(validator(&content["schema"], document)?)
        };
        let headers = answer["headers"].as_object().into_iter().flat_map(|headers| headers.keys());
        Ok(Self { media: media.clone(), schema, headers: headers.map(|name| name.to_lowercase()).collect() })
    }
}

fn validator(schema: &Value, document: &Value) -> Result<Validator> {
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "components": document["components"], "allOf": [schema],
    });
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .offline()
        .should_validate_formats(true)
        .build(&whole)
        .map_err(|error| anyhow::anyhow!("a schema of the document: {error}"))
}

/// Makes a field that the document does not know an error: a client that reads the document would never see it.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) && fields.get("type") == Some(&json!("object")) {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn errors(schema: &Validator, body: &Value) -> Vec<String> {
    let shown = |error: jsonschema::ValidationError<'_>| {
        format!("body{}: {}", error.instance_path(), error.to_string().chars().take(300).collect::<String>())
    };
    schema.iter_errors(body).map(shown).collect()
}

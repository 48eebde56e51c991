//! A policy, compiled.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::matching::Matching;
use super::request::{GIVEN, Scene, described};
use super::{Admission, Denied, Val, only};
use crate::apiserver::cel::Program;

/// Longest message that an expression may make, in bytes.
const MAX_MESSAGE: usize = 5 * 1024;

/// A policy.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    /// failurePolicy: whether an error refuses the request.
    pub(super) fails: bool,
    /// API version and kind of the parameters.
    pub(super) param_kind: Option<(String, String)>,
    pub(super) matching: Matching,
    conditions: Vec<Program>,
    pub(super) variables: Vec<(String, Program)>,
    validations: Vec<Validation>,
}

#[derive(Debug)]
struct Validation {
    program: Program,
    message: String,
    message_program: Option<Program>,
    reason: String,
}

/// Why a policy refuses.
pub(super) struct Decided {
    reason: String,
    message: String,
}

impl Decided {
    /// An error, which has no reason of its own.
    pub(super) fn error(message: String) -> Self {
        Self { reason: "Invalid".to_owned(), message }
    }

    pub(super) fn denied(self, policy: &str, binding: &str) -> Denied {
        let code = match self.reason.as_str() {
            "Unauthorized" => 401,
            "Forbidden" => 403,
            "RequestEntityTooLarge" => 413,
            _ => 422,
        };
        let message =
            format!("ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {}", self.message);
        Denied { code, reason: self.reason, message }
    }
}

impl Policy {
    pub(super) fn read(name: &str, spec: &Value) -> Result<Self> {
        let map = spec.as_object().context("the spec is no object")?;
        only(map, &["paramKind", "matchConstraints", "validations", "failurePolicy", "matchConditions", "variables"])?;
        let list = |key: &str| map.get(key).and_then(Value::as_array).into_iter().flatten();
        let mut known: Vec<String> = GIVEN.iter().map(|name| (*name).to_owned()).collect();
        let conditions = list("matchConditions")
            .map(|condition| Program::compile(text(condition, "expression")?, &known))
            .collect::<Result<_>>()?;
        let mut variables = Vec::new();
        for variable in list("variables") {
            // A variable may use those before it.
            let name = text(variable, "name")?;
            variables.push((name.to_owned(), Program::compile(text(variable, "expression")?, &known)?));
            known.push(format!("variables.{name}"));
        }
        let validations = list("validations").map(|v| Validation::read(v, &known)).collect::<Result<_>>()?;
        let param_kind = map
            .get("paramKind")
            .map(|kind| -> Result<_> { Ok((text(kind, "apiVersion")?.to_owned(), text(kind, "kind")?.to_owned())) });
        Ok(Self {
            name: name.to_owned(),
            fails: match map.get("failurePolicy").and_then(Value::as_str) {
                None | Some("Fail") => true,
                Some("Ignore") => false,
                Some(other) => bail!("the failurePolicy {other:?} is not modelled"),
            },
            param_kind: param_kind.transpose()?,
            matching: Matching::read(map.get("matchConstraints").context("no matchConstraints")?)?,
            conditions,
            variables,
            validations,
        })
    }

    /// Why the policy refuses a request, if it does.
    pub(super) fn decide(&self, request: &Admission<'_>, params: Option<&Value>) -> Option<Decided> {
        let described = described(request);
        let scene = |with_namespace: bool| Scene {
            policy: self,
            admission: request,
            described: &described,
            params,
            with_namespace,
            computed: self.variables.iter().map(|_| std::cell::OnceCell::new()).collect(),
        };
        match self.is_about(&scene(false)) {
            Ok(false) => return None,
            Ok(true) => {}
            Err(told) => return self.fails.then(|| Decided::error(told)),
        }
        let scene = scene(true);
        self.validations.iter().find_map(|validation| validation.decide(&scene, self.fails))
    }

    /// Whether every match condition holds. One that does not settles it, even if others are errors.
    fn is_about<'a>(&'a self, scene: &Scene<'a>) -> Result<bool, String> {
        let mut errors = Vec::new();
        for condition in &self.conditions {
            match condition.evaluate(scene) {
                Ok(Val::Bool(false)) => return Ok(false),
                Ok(_) => {}
                Err(fault) => errors.push(failed(condition, fault.text())),
            }
        }
        if errors.is_empty() { Ok(true) } else { Err(errors.join(", ")) }
    }
}

fn failed(program: &Program, why: &str) -> String {
    format!("expression '{}' resulted in error: {why}", program.source())
}

fn text<'a>(of: &'a Value, key: &str) -> Result<&'a str> {
    of.get(key).and_then(Value::as_str).with_context(|| format!("no {key}"))
}

impl Validation {
    fn read(validation: &Value, known: &[String]) -> Result<Self> {
        let map = validation.as_object().context("a validation is an object")?;
        only(map, &["expression", "message", "messageExpression", "reason"])?;
        let message = map.get("messageExpression").and_then(Value::as_str);
        let without_authorizer = |program: Program| {
            let authorizer = GIVEN.iter().position(|name| *name == "authorizer");
            match authorizer {
                Some(index) if program.uses(index) => bail!("a messageExpression may not ask the authorizer"),
                _ => Ok(program),
            }
        };
        Ok(Self {
            program: Program::compile(text(validation, "expression")?, known)?,
            message: map.get("message").and_then(Value::as_str).unwrap_or_default().trim().to_owned(),
            message_program: message.map(|m| Program::compile(m, known).and_then(without_authorizer)).transpose()?,
            reason: map.get("reason").and_then(Value::as_str).unwrap_or("Invalid").to_owned(),
        })
    }

    fn decide<'a>(&'a self, scene: &Scene<'a>, fails: bool) -> Option<Decided> {
        match self.program.evaluate(scene) {
            Ok(Val::Bool(true)) => None,
            Ok(_) => Some(Decided { reason: self.reason.clone(), message: self.told(scene) }),
            Err(fault) => fails.then(|| Decided::error(failed(&self.program, fault.text()))),
        }
    }

    fn told<'a>(&'a self, scene: &Scene<'a>) -> String {
        let made = self.message_program.as_ref().and_then(|program| match program.evaluate(scene) {
            Ok(Val::Text(text)) => Some(text.trim().to_owned()),
            _ => None,
        });
        let usable = made.filter(|text| !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n'));
        usable.unwrap_or_else(|| {
            if self.message.is_empty() {
                format!("failed expression: {}", self.program.source().trim())
            } else {
                self.message.clone()
            }
        })
    }
}

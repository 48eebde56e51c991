//! What an expression asks the authorizer: `authorizer.group('g').resource('r').check('verb').allowed()`.

use std::rc::Rc;

use super::value::{Fault, Val};

/// A right that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Verb, such as `decide`.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural of the resource; empty for a path.
    pub resource: String,
    /// Sub-resource; empty for none.
    pub subresource: String,
    /// Namespace; empty for every namespace, or for a resource without.
    pub namespace: String,
    /// Name; empty for every name.
    pub name: String,
    /// Path that is no resource; empty for resources.
    pub path: String,
}

/// Who answers whether the sender of a request has a right.
pub type Authorize<'a> = dyn Fn(&Access) -> bool + 'a;

/// How far a question has come.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    stage: Stage,
    access: Access,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// `authorizer`.
    Whole,
    /// After `group()`.
    Group,
    /// After `resource()`.
    Resource,
    /// After `path()`.
    Path,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) allowed: bool,
}

impl Question {
    /// The authorizer, of which nothing has been asked.
    pub(crate) fn begin() -> Val<'static> {
        Val::Question(Rc::new(Self { stage: Stage::Whole, access: Access::default() }))
    }

    /// The name of its type.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self.stage {
            Stage::Whole => "kubernetes.authorization.Authorizer",
            Stage::Group => "kubernetes.authorization.GroupCheck",
            Stage::Resource => "kubernetes.authorization.ResourceCheck",
            Stage::Path => "kubernetes.authorization.PathCheck",
        }
    }

    /// A step that narrows the question.
    pub(crate) fn step(&self, what: Step, value: &str) -> Result<Val<'static>, Fault> {
        let mut next = self.clone();
        let text = value.to_owned();
        match (what, self.stage) {
            (Step::Group, Stage::Whole) => (next.stage, next.access.group) = (Stage::Group, text),
            (Step::Path, Stage::Whole) => (next.stage, next.access.path) = (Stage::Path, text),
            (Step::Resource, Stage::Group) => (next.stage, next.access.resource) = (Stage::Resource, text),
            (Step::Subresource, Stage::Resource) => next.access.subresource = text,
            (Step::Namespace, Stage::Resource) => next.access.namespace = text,
            (Step::Name, Stage::Resource) => next.access.name = text,
            _ => return Err(Fault::no_such_overload()),
        }
        Ok(Val::Question(Rc::new(next)))
    }

    /// The right that is asked for with this verb.
    pub(crate) fn access(&self, verb: &str) -> Result<Access, Fault> {
        match self.stage {
            Stage::Resource | Stage::Path => Ok(Access { verb: verb.to_owned(), ..self.access.clone() }),
            Stage::Whole | Stage::Group => Err(Fault::no_such_overload()),
        }
    }
}

/// What a step narrows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Group,
    Resource,
    Subresource,
    Namespace,
    Name,
    Path,
}

//! Random sequences: the same for the same seed.

mod applies;
mod creates;
mod deletes;
mod mutate;
mod odd;
mod reads;
mod updates;

use fastrand::Rng;
use serde_json::{Value, json};

use super::guards::PERSON;
use super::kinds::{KINDS, Kind};
use super::step::{Call, Step, create, read};

/// How many random steps a sequence has.
const STEPS: usize = 12;

/// A sequence that is being written.
pub(super) struct Draft {
    rng: Rng,
    /// Begins the names of everything in the cluster that is this sequence's.
    run: String,
    /// Whether the policies of this test are in force, and somebody works there beside the administrator.
    judged: bool,
    kinds: Vec<&'static Kind>,
    known: Vec<Known>,
    steps: Vec<Step>,
    lists: usize,
    aliases: usize,
}

/// An object that may be there.
#[derive(Clone)]
struct Known {
    kind: &'static Kind,
    namespace: String,
    /// With marks, if it was generated.
    name: String,
}

impl Known {
    fn collection(&self) -> String {
        self.kind.collection(&self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }
}

/// The sequence of a seed. What it makes is named after the seed and, when it is played again on the same server, the attempt.
pub(crate) fn sequence(seed: u64, attempt: u32) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let wanted = rng.usize(1..=3);
    let mut kinds = rng.choose_multiple(KINDS.iter().copied(), wanted);
    let judged = rng.u32(0..6) == 0;
    if judged {
        kinds.retain(|kind| !matches!(kind.kind, "Widget" | "ConfigMap"));
        kinds.extend(KINDS.iter().copied().filter(|kind| matches!(kind.kind, "Widget" | "ConfigMap")));
    }
    let mut draft = Draft {
        rng,
        run: format!("c{seed}{}", crate::again(attempt)),
        judged,
        kinds,
        known: Vec::new(),
        steps: Vec::new(),
        lists: 0,
        aliases: 0,
    };
    draft.begin();
    // Some are about who owns which field of one object, and nothing else.
    let about_owners = draft.sometimes(4);
    for _ in 0..STEPS {
        if about_owners { draft.apply_to_one() } else { draft.step() }
    }
    draft.end();
    draft.steps
}

impl Draft {
    fn begin(&mut self) {
        let run = self.run.clone();
        let labels = json!({ "run": run, "guarded": if self.judged { "yes" } else { "no" } });
        let space = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": run, "labels": labels } });
        self.call(create("/api/v1/namespaces", space));
        for kind in self.kinds.clone() {
            self.list(kind);
            self.watch(kind);
        }
        // Something to work on.
        let kind = self.kind();
        self.good_create(kind);
    }

    fn step(&mut self) {
        match self.rng.u32(0..100) {
            0..18 => {
                let kind = self.kind();
                self.good_create(kind);
            }
            18..30 => {
                let kind = self.kind();
                self.odd_create(kind);
            }
            30..38 => self.read_something(),
            38..50 => self.put(),
            50..62 => self.merge(),
            62..70 => self.json_patch(),
            70..80 => self.apply(),
            80..90 => self.delete(),
            90..95 => self.finalizers(),
            95..98 => self.odd_request(),
            _ => {
                let kind = self.kind();
                self.watch(kind);
            }
        }
    }

    fn end(&mut self) {
        for kind in self.kinds.clone() {
            let mut call = read(&kind.collection(&self.run));
            if !kind.namespaced {
                call = call.with("labelSelector", format!("run={}", self.run));
            }
            self.push_list(call);
        }
    }

    fn call(&mut self, call: Call) {
        let call = if self.judged && self.sometimes(2) { call.by(PERSON) } else { call };
        self.steps.push(Step::Call(call));
    }

    fn push_list(&mut self, call: Call) -> usize {
        self.call(call);
        self.lists += 1;
        self.lists - 1
    }

    fn kind(&mut self) -> &'static Kind {
        self.rng.choice(self.kinds.iter().copied()).expect("a sequence has kinds")
    }

    /// One in `n` times.
    fn sometimes(&mut self, n: u32) -> bool {
        self.rng.u32(0..n) == 0
    }

    fn pick<T>(&mut self, of: Vec<T>) -> T {
        let at = self.rng.usize(0..of.len());
        of.into_iter().nth(at).expect("something to pick from")
    }

    /// An object that may be there, or one that was never made.
    fn some(&mut self) -> Known {
        if self.known.is_empty() || self.sometimes(12) {
            let kind = self.kind();
            return self.fresh(kind);
        }
        let at = self.rng.usize(0..self.known.len());
        self.known[at].clone()
    }

    /// A place for an object of few names, so that they meet.
    fn fresh(&mut self, kind: &'static Kind) -> Known {
        let letter = self.pick(vec!["a", "b", "c"]);
        let name = if kind.namespaced { letter.to_owned() } else { format!("{}-{letter}", self.run) };
        Known { kind, namespace: if kind.namespaced { self.run.clone() } else { String::new() }, name }
    }

    /// An object that is fine, with the labels that lists select by.
    fn body(&mut self, at: &Known) -> Value {
        let mut body = at.kind.object(&at.name);
        let mut labels = json!({ "run": self.run });
        if self.sometimes(2) {
            labels["tier"] = json!(self.pick(vec!["a", "b"]));
        }
        body["metadata"]["labels"] = labels;
        body
    }

    fn remember(&mut self, known: Known) {
        if !self.known.iter().any(|k| k.path() == known.path()) {
            self.known.push(known);
        }
    }
}

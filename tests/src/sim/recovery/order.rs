//! What a run is told: the command line of the worker and of the restorer, read as they read it.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use zhengyun_operator::executor::{Argument, Task};

/// A command with its options and the contents of its files.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// Program and command, such as `zhengyun-worker backup`.
    pub(super) command: String,
    options: BTreeMap<String, Vec<String>>,
    secrets: BTreeMap<String, String>,
}

impl Order {
    /// Of a task.
    pub(super) fn read(task: &Task) -> Self {
        let mut order = Self { command: task.program.to_owned(), ..Self::default() };
        let mut words = task.arguments.iter().peekable();
        while let Some(Argument::Text(word)) = words.next() {
            if !word.starts_with("--") {
                order.command = format!("{} {word}", order.command);
                continue;
            }
            let values = order.options.entry(word.clone()).or_default();
            match words.next_if(|next| !matches!(next, Argument::Text(text) if text.starts_with("--"))) {
                Some(Argument::Secret(name)) => {
                    let content = task.secrets.iter().find(|(known, _)| known == name);
                    let content = content.map(|(_, content)| content.expose_secret().to_owned());
                    order.secrets.insert(word.clone(), content.unwrap_or_default());
                }
                Some(Argument::Text(value)) => values.push(value.clone()),
                Some(Argument::Kept(name) | Argument::File(name)) => values.push((*name).to_owned()),
                None => {}
            }
        }
        order
    }

    /// Whether a flag was given.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.options.contains_key(flag)
    }

    /// Every value of an option.
    pub(super) fn all(&self, flag: &str) -> &[String] {
        self.options.get(flag).map(Vec::as_slice).unwrap_or_default()
    }

    /// The value of an option; empty if it was not given.
    pub(super) fn one(&self, flag: &str) -> &str {
        self.all(flag).first().map(String::as_str).unwrap_or_default()
    }

    /// The content of a file that an option names; none if it was not given.
    pub(super) fn secret(&self, flag: &str) -> Option<&str> {
        self.secrets.get(flag).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use zhengyun_operator::executor::Task;

    use super::Order;

    #[test]
    fn a_task_reads_as_its_program_would_read_it() {
        let mut task = Task::of("zhengyun-worker", "forget");
        task.option("--store", "s3://bucket/finance").secret("--key-file", "key", "k".into());
        task.option("--snapshot", "a").option("--snapshot", "b").text("--leftovers").text("--prune");
        task.option("--keep-run", "r").kept("--state-dir", "journal");
        let order = Order::read(&task);
        assert_eq!(order.command, "zhengyun-worker forget");
        assert_eq!(order.one("--store"), "s3://bucket/finance");
        assert_eq!(order.all("--snapshot"), ["a", "b"]);
        assert!(order.has("--leftovers") && order.has("--prune") && !order.has("--scratch"));
        assert_eq!((order.secret("--key-file"), order.secret("--public-key-file")), (Some("k"), None));
        assert_eq!((order.one("--keep-run"), order.one("--state-dir")), ("r", "journal"));
    }
}

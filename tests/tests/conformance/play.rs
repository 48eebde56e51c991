//! Playing a sequence on both servers, step by step, until they disagree.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::ground::Ground;
use super::side::{Side, Told};
use super::step::Step;

/// What came of a sequence.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Both said the same to every step: what was asked, and with which code it was answered.
    Agreed(Vec<(String, u16)>),
    /// They did not, and how.
    Diverged(String),
}

/// How long a watch that has told everything is listened to for more.
const QUIET: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(20));

/// Plays a sequence; `name` is how it is played again.
pub(crate) async fn sequence(ground: &Ground, name: &str, steps: &[Step]) -> Result<Outcome> {
    let (mut real, mut memory) = ground.sides();
    let told = |at: usize, what: String, real: &Value, memory: &Value| {
        Outcome::Diverged(format!(
            "{name} cargo test --locked --workspace --test conformance -- --nocapture\nstep {at}: {what}\n  real:   {real}\n  memory: {memory}"
        ))
    };
    let mut sentinels = Vec::new();
    let mut answered = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Call(call) => {
                let (on_real, on_memory) = (real.written(call), memory.written(call));
                let (r, m) = (real.call(call).await?, memory.call(call).await?);
                if m.code == 501 {
                    return Ok(told(at, on_memory, &r.body, &m.body));
                }
                if (r.code, &r.shown) != (m.code, &m.shown) {
                    let what = format!(
                        "{on_real}\n  in memory: {on_memory}\n  codes {} and {}\n  shown:  {}\n  and:    {}",
                        r.code, m.code, r.shown, m.shown
                    );
                    return Ok(told(at, what, &r.body, &m.body));
                }
                answered.push((call.sort(), r.code));
            }
            Step::Watch(watch) => {
                real.watch(watch).await?;
                memory.watch(watch).await?;
                sentinels.push((at, watch.sentinel.clone()));
            }
        }
    }
    for (which, (at, sentinel)) in sentinels.iter().enumerate() {
        let mut until = None;
        if let Some(sentinel) = sentinel {
            // Who cannot be made says nothing about the watch.
            let (r, m) = (real.call(sentinel).await?, memory.call(sentinel).await?);
            if r.code == 201 && m.code == 201 {
                until = sentinel.object().rsplit('/').next().map(str::to_owned);
            }
        }
        let in_memory = hear(&mut memory, which, until.as_deref(), 0, QUIET.1).await;
        let on_real = hear(&mut real, which, until.as_deref(), in_memory.events.len(), QUIET.0).await;
        if (on_real.code, &on_real.refusal, &on_real.shown) != (in_memory.code, &in_memory.refusal, &in_memory.shown) {
            let listed = |told: &Told| Value::Array(told.events.clone());
            let what = format!(
                "{:?}\n  codes {} and {}, refusals {} and {}\n{}",
                steps[*at],
                on_real.code,
                in_memory.code,
                on_real.refusal,
                in_memory.refusal,
                differences(&on_real, &in_memory)
            );
            return Ok(told(*at, what, &listed(&on_real), &listed(&in_memory)));
        }
        for event in &on_real.events {
            let sort = format!("event {}", event["type"].as_str().unwrap_or_default());
            answered.push((sort, on_real.code));
        }
    }
    Ok(Outcome::Agreed(answered))
}

async fn hear(side: &mut Side, which: usize, until: Option<&str>, count: usize, quiet: Duration) -> Told {
    side.told(which, until, count, quiet).await
}

fn differences(real: &Told, memory: &Told) -> String {
    let count = real.shown.len().max(memory.shown.len());
    (0..count)
        .filter(|n| real.shown.get(*n) != memory.shown.get(*n))
        .take(3)
        .map(|n| {
            let shown = |told: &Told| told.shown.get(n).map_or_else(|| "nothing".to_owned(), ToString::to_string);
            format!("  event {n}: {}\n      and: {}", shown(real), shown(memory))
        })
        .collect::<Vec<_>>()
        .join("\n")
}

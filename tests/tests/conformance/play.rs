//! Playing a sequence on both servers, step by step, until they disagree.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::side::{Answer, Side, Told};
use super::step::{Call, Step};

/// What came of a sequence.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Both said the same to every step: what was asked, and with which code it was answered.
    Agreed(Vec<(String, u16)>),
    /// They did not, and how.
    Diverged(String),
    /// The real server was too busy to answer, and how it said so.
    Busy(String),
}

/// How long a watch that has told everything is listened to for more.
const QUIET: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(20));

/// Whether an answer says nothing but that the machine is slow.
fn is_busy(answer: &Answer) -> bool {
    let said = answer.body["message"].as_str().unwrap_or_default();
    let slow = ["etcdserver", "deadline exceeded", "timed out", "did not complete", "storage is (re)initializing"];
    matches!(answer.code, 429 | 500 | 503 | 504) && slow.iter().any(|words| said.contains(words))
}

/// Whether a watch ended because its cache did not come to know in time of a revision that the server itself had told.
fn is_late(event: &Value) -> bool {
    event["type"] == "ERROR" && event.pointer("/object/code") == Some(&Value::from(504))
}

/// Whether one sequence is played alone, and told step by step.
fn shows_everything() -> bool {
    ["ZHENGYUN_CONFORMANCE_SEED", "ZHENGYUN_CONFORMANCE_CASE"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Sends a request to both, which must answer alike; nothing but that they did, and with which code, or what came of the sequence.
async fn ask(
    (real, memory): (&mut Side, &mut Side),
    call: &Call,
    diverged: impl Fn(String, &Value, &Value) -> Outcome,
) -> Result<Result<u16, Outcome>> {
    let (on_real, on_memory) = (real.written(call), memory.written(call));
    let r = match real.call(call).await {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(Outcome::Busy(format!("{error:#}")))),
    };
    let m = memory.call(call).await?;
    if is_busy(&r) || (r.code == 504 && m.code != 504) {
        return Ok(Err(Outcome::Busy(r.body.to_string())));
    }
    if shows_everything() {
        eprintln!("{on_real}\n  {}: {}\n  {}: {}", r.code, r.body, m.code, m.body);
    }
    // What the real server's router says by itself is plain text.
    let plain = r.body.is_string() && r.code >= 400;
    if m.code == 501 || r.code != m.code || (!plain && r.shown != m.shown) {
        let what = format!(
            "{on_real}\n  in memory: {on_memory}\n  codes {} and {}\n  shown:  {}\n  and:    {}",
            r.code, m.code, r.shown, m.shown
        );
        return Ok(Err(diverged(what, &r.body, &m.body)));
    }
    Ok(Ok(r.code))
}

/// Plays a sequence; `name` is how it is played again.
pub(crate) async fn sequence((mut real, mut memory): (Side, Side), name: &str, steps: &[Step]) -> Result<Outcome> {
    let told = |at: usize, what: String, real: &Value, memory: &Value| {
        Outcome::Diverged(format!(
            "tests/prove-conformance --replay {name}\nstep {at}: {what}\n  real:   {real}\n  memory: {memory}"
        ))
    };
    let mut sentinels = Vec::new();
    let mut answered = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Call(call) => match ask((&mut real, &mut memory), call, |what, r, m| told(at, what, r, m)).await? {
                Ok(code) => answered.push((call.sort(), code)),
                Err(outcome) => return Ok(outcome),
            },
            Step::Watch(watch) => {
                if let Err(error) = real.watch(watch).await {
                    return Ok(Outcome::Busy(format!("{error:#}")));
                }
                memory.watch(watch).await?;
                sentinels.push((at, watch.sentinel.clone()));
            }
        }
    }
    for (which, (at, sentinel)) in sentinels.iter().enumerate() {
        let mut until = None;
        if let Some(sentinel) = sentinel {
            match ask((&mut real, &mut memory), sentinel, |what, r, m| told(*at, what, r, m)).await? {
                Ok(201) => until = sentinel.object().rsplit('/').next().map(str::to_owned),
                // Who cannot be made says nothing about the watch.
                Ok(_) => {}
                Err(outcome) => return Ok(outcome),
            }
        }
        let in_memory = hear(&mut memory, which, until.as_deref(), 0, QUIET.1).await;
        let on_real = hear(&mut real, which, until.as_deref(), in_memory.events.len(), QUIET.0).await;
        if let Some(late) = on_real.events.iter().find(|event| is_late(event))
            && !in_memory.events.iter().any(is_late)
        {
            return Ok(Outcome::Busy(late.to_string()));
        }
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

//! A slice of the campaigns on every change: every workload undisturbed, twice the same, and disturbed by a selection of plans.

use anyhow::{Result, ensure};
use zhengyun_tests::sim::base::Base;
use zhengyun_tests::sim::campaign::{self, Class, Options};
use zhengyun_tests::sim::plan::Plan;
use zhengyun_tests::sim::run::{Report, run};
use zhengyun_tests::sim::workload;

fn record(report: &Report) -> Vec<String> {
    // Events are named after the wall clock by the library that writes them.
    let told = report.journal.iter().filter(|c| c.key.plural != "events");
    told.map(|c| format!("{} {} {:?} {} {} {}", c.at, c.agent, c.verb, c.cluster, c.key, c.after)).collect()
}

#[test]
fn the_same_plan_gives_the_same_record_write_for_write() -> Result<()> {
    let (one, two) = (Base::establish()?, Base::establish()?);
    for text in [
        "revoke@7",
        "cut-off@3+crash:20:After",
        "hasty@5+crash:9:Answered+call:40:Silence",
        "kept@2",
        "elsewhere@4+crash:70:After",
        "drill@6+crash:60:Answered+call:200:Silence",
    ] {
        let plan: Plan = text.parse().map_err(anyhow::Error::msg)?;
        let (first, second) = (record(&run(&one, &plan)?), record(&run(&two, &plan)?));
        let differs = first.iter().zip(&second).find(|(a, b)| a != b);
        ensure!(differs.is_none() && first.len() == second.len(), "{plan}: {differs:?}");
    }
    Ok(())
}

#[test]
fn a_slice_of_every_campaign_finds_nothing() -> Result<()> {
    // About 900 plans: every 199th of each class and workload, and one at least; 199 is prime, so every kind of fault is met.
    let options = Options { every: 199, pairs: 199, classes: Class::ALL.to_vec(), ..Options::default() };
    let outcome = campaign::play(&options, &|line| eprintln!("{line}"))?;
    let told: Vec<String> =
        outcome.failures.iter().map(|f| format!("{}\n  {}", f.plan, f.lines.join("\n  "))).collect();
    ensure!(told.is_empty(), "{} of {} plans fail:\n{}", told.len(), outcome.played(), told.join("\n"));
    ensure!(outcome.played() >= 500, "{} plans are no slice", outcome.played());
    Ok(())
}

/// Plans that once showed a defect, each with what it was.
const MENDED: &[(&str, &str)] = &[
    ("an operator whose clock is ahead put approvals before their stage", "door-correct@1+clock:Double"),
    ("a site to be deleted was not connected after a takeover", "site-gone@1+pause:43"),
    ("use of a site that is gone stayed on quotas", "site-gone@1+crash:68:Answered"),
    ("a revocation was refused because a watch was late", "hasty@1+watch:4:VeryLate"),
    ("a reservation was committed at every look while a watch stood still", "unfit@1+watch:6:Broken"),
    ("an operator that had stood still ordered a revocation that was undone", "undone@1+pause:38"),
    ("an operator that had stood still let a department go that holds something", "department-gone@1+pause:5"),
    ("a site that was deleted left an entry in the journal", "site-gone@1+crash:53:After"),
    ("a revocation was refused because of what the grant had been", "hasty@1+watch:4:Gone"),
    ("a conflict of something else was taken for a refusal of the object", "many-things@1+call:92:Conflict"),
    ("an order was refused because a watch was late", "bad-object@1+watch:4:Late"),
    ("an order was refused because rights at the site were missing for a moment", "hasty@1+call:88:Forbidden"),
    ("an approval that counted was not told so when its answer stayed away", "unfit@1+call:89:Silence"),
    ("a plan whose store came into service a moment later started nothing for an hour", "kept@1"),
    ("a backup counted as in use after its restore had ended", "restore@1"),
    ("a store whose bucket is away was called ready at every other look, without a pause", "store-away@1"),
    ("a backup put on hold while it was being dropped was never told what became of it", "held@1+crash:86:Answered"),
    ("a site stayed open for recovery when a store was away as the run ended", "backup@1+cut:64:Answers"),
    ("a whole backup told the progress of its last process instead of what it holds", "backup@1+crash:57:Before"),
];

#[test]
fn what_was_mended_stays_mended() -> Result<()> {
    let base = Base::establish()?;
    for (what, text) in MENDED {
        let plan: Plan = text.parse().map_err(anyhow::Error::msg)?;
        let calm = run(&base, &Plan::calm(&plan.workload, plan.seed))?.end;
        let told = campaign::judge(&base, &plan, &[(plan.workload.clone(), calm)].into());
        ensure!(told.is_empty(), "{what}: {plan}: {}", told.join("\n"));
    }
    Ok(())
}

#[test]
fn every_workload_comes_to_its_end_undisturbed_and_stays_quiet() -> Result<()> {
    let base = Base::establish()?;
    for workload in workload::ALL {
        let report = run(&base, &Plan::calm(workload.name, 11))?;
        let told: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        ensure!(told.is_empty(), "{}: {}", workload.name, told.join("\n"));
    }
    Ok(())
}

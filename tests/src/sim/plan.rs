//! Plans: which faults happen in a run, and how a plan is written on a command line.

use std::fmt;
use std::str::FromStr;

/// When, around one request, the operator ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// Before it is sent: nothing of it takes place.
    Before,
    /// After it took place, before its answer arrives. Requests under way beside it are lost.
    After,
    /// After its answer arrived. Requests under way beside it still take place, later: after the next operator took over.
    Answered,
}

impl Moment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Before, Self::After, Self::Answered];
}

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trouble {
    /// 409 without reason.
    Conflict,
    /// 429 with Retry-After.
    TooMany,
    /// 500.
    Internal,
    /// 503.
    Unavailable,
    /// 504 although it took place.
    TimeoutAfter,
    /// No answer, and it did not take place.
    Silence,
    /// The connection breaks before it took place.
    Reset,
    /// It took place, but the answer breaks off.
    Truncated,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Conflict,
        Self::TooMany,
        Self::Internal,
        Self::Unavailable,
        Self::TimeoutAfter,
        Self::Silence,
        Self::Reset,
        Self::Truncated,
        Self::Unauthorized,
        Self::Forbidden,
    ];
}

/// What goes wrong with one watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WatchTrouble {
    /// It ends after its first event.
    Dropped,
    /// It ends with 410 after its first event, and everything is listed anew.
    Gone,
    /// It shows nothing for a minute, then everything.
    Late,
    /// It shows nothing for ten minutes, then everything.
    VeryLate,
    /// Its first event is hidden until the next one is there.
    Hidden,
    /// It ends with an error of the server after its first event.
    Broken,
}

impl WatchTrouble {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Dropped, Self::Gone, Self::Late, Self::VeryLate, Self::Hidden, Self::Broken];
}

/// What goes wrong with all ways to sites, for a minute and a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cut {
    /// Nothing gets through.
    Both,
    /// Requests arrive and take place, answers do not come back.
    Answers,
    /// Requests are on their way for eight seconds.
    Slow,
    /// Three seconds nothing gets through, three seconds everything does.
    Flapping,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Both, Self::Answers, Self::Slow, Self::Flapping];
}

/// How fast the operators' clocks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rate {
    /// At half the pace.
    Half,
    /// Twice as fast.
    Double,
}

impl Rate {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Half, Self::Double];
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The operator ends at its n-th write, counted over all operators of the run; another one starts after the lease ran out.
    Crash(u64, Moment),
    /// Something goes wrong with the n-th call.
    Call(u64, Trouble),
    /// Something goes wrong with the n-th watch.
    Watch(u64, WatchTrouble),
    /// At the n-th write the operator stands still for half a minute; another one takes over meanwhile, without an election.
    Pause(u64),
    /// From the n-th write on something is wrong with the ways to sites.
    Cut(u64, Cut),
    /// The operators' clocks are wrong from the beginning.
    Clock(Rate),
}

/// What goes wrong in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Plan {
    /// Workload.
    pub workload: String,
    /// Seed of the pauses between requests.
    pub seed: u64,
    /// Faults.
    pub faults: Vec<Fault>,
}

impl Plan {
    /// Nothing goes wrong.
    pub fn calm(workload: &str, seed: u64) -> Self {
        Self { workload: workload.to_owned(), seed, faults: Vec::new() }
    }

    /// With one more fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(at, moment) => write!(f, "crash:{at}:{moment:?}"),
            Self::Call(at, trouble) => write!(f, "call:{at}:{trouble:?}"),
            Self::Watch(at, trouble) => write!(f, "watch:{at}:{trouble:?}"),
            Self::Pause(at) => write!(f, "pause:{at}"),
            Self::Cut(at, cut) => write!(f, "cut:{at}:{cut:?}"),
            Self::Clock(rate) => write!(f, "clock:{rate:?}"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.workload, self.seed)?;
        self.faults.iter().try_for_each(|fault| write!(f, "+{fault}"))
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        fn named<T: Copy + fmt::Debug>(all: &[T], name: &str) -> Option<T> {
            all.iter().copied().find(|t| format!("{t:?}") == name)
        }
        let wrong = || {
            format!(
                "{text:?} is no fault; write crash:N:Before|After|Answered, call:N:TROUBLE, watch:N:TROUBLE, pause:N, cut:N:Both|Answers|Slow|Flapping or clock:Half|Double"
            )
        };
        let parts: Vec<&str> = text.split(':').collect();
        let number = |n: &str| n.parse().map_err(|_| wrong());
        match parts.as_slice() {
            ["crash", at, moment] => Ok(Self::Crash(number(at)?, named(&Moment::ALL, moment).ok_or_else(wrong)?)),
            ["call", at, trouble] => Ok(Self::Call(number(at)?, named(&Trouble::ALL, trouble).ok_or_else(wrong)?)),
            ["watch", at, trouble] => {
                Ok(Self::Watch(number(at)?, named(&WatchTrouble::ALL, trouble).ok_or_else(wrong)?))
            }
            ["pause", at] => Ok(Self::Pause(number(at)?)),
            ["cut", at, cut] => Ok(Self::Cut(number(at)?, named(&Cut::ALL, cut).ok_or_else(wrong)?)),
            ["clock", rate] => Ok(Self::Clock(named(&Rate::ALL, rate).ok_or_else(wrong)?)),
            _ => Err(wrong()),
        }
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (head, faults) = text.split_once('+').unwrap_or((text, ""));
        let (workload, seed) =
            head.split_once('@').ok_or_else(|| format!("{text:?} is no plan; write WORKLOAD@SEED+FAULT+FAULT"))?;
        let seed = seed.parse().map_err(|_| format!("{seed:?} is no seed; write a number"))?;
        let faults = faults.split('+').filter(|f| !f.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { workload: workload.to_owned(), seed, faults })
    }
}

#[cfg(test)]
mod tests {
    use super::{Cut, Fault, Moment, Plan, Rate, Trouble, WatchTrouble};

    #[test]
    fn a_plan_reads_as_it_is_written() {
        let plan = Plan::calm("deliver", 7)
            .with(Fault::Crash(3, Moment::After))
            .with(Fault::Call(9, Trouble::TimeoutAfter))
            .with(Fault::Watch(2, WatchTrouble::Gone))
            .with(Fault::Pause(4))
            .with(Fault::Cut(5, Cut::Answers))
            .with(Fault::Clock(Rate::Half));
        assert_eq!(
            plan.to_string(),
            "deliver@7+crash:3:After+call:9:TimeoutAfter+watch:2:Gone+pause:4+cut:5:Answers+clock:Half"
        );
        assert_eq!(plan.to_string().parse::<Plan>(), Ok(plan));
        assert_eq!("deliver@7".parse::<Plan>(), Ok(Plan::calm("deliver", 7)));
        for wrong in ["deliver", "deliver@x", "deliver@7+crash:3", "deliver@7+crash:3:Never", "deliver@7+boom:1"] {
            assert!(wrong.parse::<Plan>().is_err(), "{wrong}");
        }
    }
}

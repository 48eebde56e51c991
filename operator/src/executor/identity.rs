//! Which process: a number alone is given out again, so the moment of its start and the boot of the machine belong to it.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process of this machine, unmistakable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pid: u32,
    /// Clock ticks since boot at which it began (`proc(5)`, field 22 of `stat`).
    started: u64,
    /// Identity of the boot.
    boot: String,
}

impl Identity {
    /// This process.
    pub(super) fn own() -> Option<Self> {
        let pid = std::process::id();
        Some(Self { pid, started: stat(pid)?.0, boot: boot()? })
    }

    /// Whether it lives. One that ended and was not waited for does not.
    pub(super) fn lives(&self) -> bool {
        boot().as_deref() == Some(self.boot.as_str())
            && stat(self.pid).is_some_and(|(started, state)| started == self.started && !matches!(state, 'Z' | 'X'))
    }

    /// Sends a signal to exactly this process; one that is gone is left in peace.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
        // The handle stays with the process that has the number now, and whether that is the one is asked after it is held.
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error),
        };
        if !self.lives() {
            return Ok(());
        }
        match pidfd_send_signal(&handle, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// Start and state of a process.
fn stat(pid: u32) -> Option<(u64, char)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything, brackets too.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // The state is field 3, the start field 22.
    Some((fields.nth(18)?.parse().ok()?, state))
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn a_number_that_was_given_out_again_is_another_process() {
        let own = Identity::own().unwrap();
        assert!(own.lives());
        assert!(!Identity { started: own.started + 1, ..own.clone() }.lives());
        assert!(!Identity { boot: "another".to_owned(), ..own.clone() }.lives());
        // Nothing is sent to a process that is not the one: this test would not live to see the next line.
        Identity { started: own.started + 1, ..own }.signal(rustix::process::Signal::KILL).unwrap();
    }
}

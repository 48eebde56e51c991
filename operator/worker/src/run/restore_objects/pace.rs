//! How many writes are under way at once: more while the API server takes them, half as many when it asks for mercy.

/// Writes at once in the beginning.
const FIRST: usize = 16;
/// At most.
const MOST: usize = 32;
/// At least.
const LEAST: usize = 2;
/// Writes without complaint after which one more is allowed.
const STEADY: usize = 64;

/// The present width.
#[derive(Debug)]
pub(super) struct Pace {
    width: usize,
    steady: usize,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { width: FIRST, steady: 0 }
    }

    pub(super) const fn width(&self) -> usize {
        self.width
    }

    /// Learns from a write.
    pub(super) fn learn(&mut self, throttled: bool) {
        if throttled {
            self.width = (self.width / 2).max(LEAST);
            self.steady = 0;
            return;
        }
        self.steady += 1;
        if self.steady >= STEADY {
            self.width = (self.width + 1).min(MOST);
            self.steady = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST, LEAST, MOST, Pace, STEADY};

    #[test]
    fn it_halves_at_once_and_grows_slowly() {
        let mut pace = Pace::new();
        pace.learn(true);
        assert_eq!(pace.width(), FIRST / 2);
        (0..STEADY).for_each(|_| pace.learn(false));
        assert_eq!(pace.width(), FIRST / 2 + 1);
        (0..10).for_each(|_| pace.learn(true));
        assert_eq!(pace.width(), LEAST);
        (0..STEADY * 100).for_each(|_| pace.learn(false));
        assert_eq!(pace.width(), MOST);
    }
}

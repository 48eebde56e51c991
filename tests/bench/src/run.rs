//! How a benchmark is run: its size, and who hears what goes on.

/// One run.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// Share of the full size.
    pub scale: f64,
    say: &'a (dyn Fn(&str) + Sync),
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("scale", &self.scale).finish_non_exhaustive()
    }
}

impl<'a> Run<'a> {
    /// One at a scale.
    pub fn new(scale: f64, say: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self { scale, say }
    }

    /// Tells what goes on.
    pub fn say(&self, line: &str) {
        (self.say)(line);
    }
}

/// A part of a number, but no less than `least`, and even.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of some thousand")]
pub fn scaled(full: usize, scale: f64, least: usize) -> usize {
    ((full as f64 * scale).round() as usize).max(least).next_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn a_part_is_even_and_not_too_small() {
        assert_eq!((scaled(10_000, 1.0, 2), scaled(10_000, 0.0333, 2), scaled(10, 0.01, 5)), (10_000, 334, 6));
    }
}

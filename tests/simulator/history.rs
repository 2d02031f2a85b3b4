//! A value with what it was before, for reads that lag behind its changes.

#[derive(Clone, Debug, Default)]
pub(crate) struct History<T> {
    now: T,
    /// Oldest first.
    before: Vec<T>,
}

impl<T> History<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { now: value, before: Vec::new() }
    }

    pub(crate) fn now(&self) -> &T {
        &self.now
    }

    /// As it was so many changes ago. Further back than the history goes is as far back as it goes.
    pub(crate) fn before(&self, changes: usize) -> &T {
        match changes {
            0 => &self.now,
            _ => self.before.get(self.before.len().saturating_sub(changes)).unwrap_or(&self.now),
        }
    }

    pub(crate) fn set(&mut self, value: T) {
        self.before.push(std::mem::replace(&mut self.now, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lagging_read_shows_what_was_before() {
        let mut history = History::new("a");
        assert_eq!(*history.before(1), "a", "nothing was before");
        history.set("b");
        history.set("c");
        let read = [0, 1, 2, 9].map(|changes| *history.before(changes));
        assert_eq!(read, ["c", "b", "a", "a"]);
        assert_eq!(*history.now(), "c");
    }
}

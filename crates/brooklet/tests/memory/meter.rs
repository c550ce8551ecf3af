//! What the allocator and the system see.

use brooklet::MemoryStats;

/// The bytes that this thread has on the heap, and the mappings of the process, since the start.
pub(crate) struct Meter {
    heap: i64,
    mapped_before: u64,
    /// What the stack has from the start and does not count: handles and constant state.
    fixed: i64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            heap: 0,
            mapped_before: mapped(),
            fixed: 0,
        }
    }

    /// Takes what is seen and not told as fixed: the stack has just been built.
    pub(crate) fn begin(&mut self, memory: MemoryStats) {
        self.fixed = (self.bytes() - memory.total()) as i64;
        assert!(self.fixed <= 16 << 10, "{} bytes\n{memory}", self.fixed);
    }

    /// Runs `f`. What `f` allocates counts, and what `f` frees counts no more.
    pub(crate) fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let mut result = None;
        let info = allocation_counter::measure(|| result = Some(f()));
        self.heap += info.bytes_current;
        result.unwrap()
    }

    /// Runs `f`, which allocates for the program. Returns also how much, for [`include`](Self::include)
    /// once that is freed.
    pub(crate) fn exclude<R>(&mut self, f: impl FnOnce() -> R) -> (R, i64) {
        let before = self.heap;
        let result = self.run(f);
        let own = self.heap - before;
        self.fixed += own;
        (result, own)
    }

    pub(crate) fn include(&mut self, own: i64) {
        self.fixed -= own;
    }

    pub(crate) fn bytes(&self) -> u64 {
        let mapped = mapped().saturating_sub(self.mapped_before);
        (self.heap + mapped as i64 - self.fixed).max(0) as u64
    }

    /// Compares the stack's own figures with what is here.
    #[track_caller]
    pub(crate) fn check(&self, memory: MemoryStats, budget: usize, when: &str) {
        let (seen, told) = (self.bytes(), memory.total());
        println!("  {when}: {seen} seen, {told} told of {budget}");
        assert!(
            told <= budget as u64,
            "{when}: {told} of {budget}\n{memory}"
        );
        let off = seen.abs_diff(told);
        assert!(
            off * 20 <= seen,
            "{when}: {seen} bytes seen, {told} told, mapped {}\n{memory}",
            mapped() - self.mapped_before
        );
    }
}

/// The bytes of the anonymous mappings of the process, but for its heap and its stacks.
fn mapped() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let range = |line: &str| {
        let mut fields = line.split_whitespace();
        let (range, permissions) = (fields.next()?, fields.next()?);
        let is_anonymous = permissions == "rw-p" && fields.count() == 3;
        let (from, to) = range.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        Some(if is_anonymous {
            address(to)? - address(from)?
        } else {
            0
        })
    };
    maps.lines().filter_map(range).sum()
}

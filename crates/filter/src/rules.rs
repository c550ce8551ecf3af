use crate::{Direction, Filter, Match, Verdict};
use brooklet_packet::Packet;
use std::fmt;

/// An ordered list of rules; the first that matches decides, and a default where none does.
///
/// A list made with [`new`](Self::new) is [`Send`] and [`Sync`] and asks the same of its rules; one made with
/// [`local`](Self::local) takes any rule and stays on its thread.
///
/// The rules are asked one after the other: put many addresses into one
/// [`CidrSet`](crate::CidrSet), not into a rule each.
///
/// ```
/// use brooklet_filter::{IpNet, Match, Rules, Verdict, destination, destination_port};
///
/// let lan: IpNet = "192.168.0.0/16".parse()?;
/// let printer = std::net::IpAddr::from([192, 168, 0, 9]);
/// let rules = Rules::new(Verdict::Pass)
///     .rule(destination(printer).and(destination_port(631)), Verdict::Pass)
///     .rule(destination(lan), Verdict::Drop);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Rules<M = Box<dyn Match + Send + Sync>> {
    rules: Vec<(M, Verdict)>,
    default: Verdict,
}

impl Rules {
    /// A list without rules, for any thread. `default` is for packets that no rule matches.
    pub fn new(default: Verdict) -> Self {
        Self {
            rules: Vec::new(),
            default,
        }
    }

    /// Adds a rule after those that are there.
    #[must_use]
    pub fn rule(mut self, of: impl Match + Send + Sync + 'static, verdict: Verdict) -> Self {
        self.rules.push((Box::new(of), verdict));
        self
    }
}

impl Rules<Box<dyn Match>> {
    /// A list without rules, for one thread. `default` is for packets that no rule matches.
    ///
    /// ```
    /// use brooklet_filter::{Rules, Verdict, matching};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let lockdown = Rc::new(Cell::new(false));
    /// let locked = lockdown.clone();
    /// let rules = Rules::local(Verdict::Pass)
    ///     .rule(matching(move |_, _| locked.get()), Verdict::Drop);
    /// lockdown.set(true);
    /// ```
    pub fn local(default: Verdict) -> Self {
        Self {
            rules: Vec::new(),
            default,
        }
    }

    /// Adds a rule after those that are there.
    #[must_use]
    pub fn rule(mut self, of: impl Match + 'static, verdict: Verdict) -> Self {
        self.rules.push((Box::new(of), verdict));
        self
    }
}

impl<M: Match> Filter for Rules<M> {
    fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict {
        let decides = self
            .rules
            .iter()
            .find(|(of, _)| of.matches(packet, direction));
        decides.map_or(self.default, |(_, verdict)| *verdict)
    }
}

impl<M> fmt::Debug for Rules<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("rules", &self.rules.len())
            .field("default", &self.default)
            .finish()
    }
}

//! Ordered rules.

use crate::{Direction, Filter, Match, Verdict};
use brooklet_packet::Packet;
use std::fmt;

/// An ordered list of rules with a default verdict. The first rule that matches decides; the default
/// decides about a packet that no rule matches.
///
/// A list of [`new`](Self::new) is [`Send`] and [`Sync`], and so are its rules. A list of
/// [`local`](Self::local) takes every rule and stays on its thread.
///
/// Each packet is compared with the rules one after the other. Put many addresses into one
/// [`CidrSet`](crate::CidrSet) rather than into a rule each.
///
/// ```
/// use brooklet_filter::{IpNet, Match, Rules, Verdict, destination, destination_port};
///
/// let lan: IpNet = "192.168.0.0/16".parse()?;
/// let printer = std::net::IpAddr::from([192, 168, 0, 9]);
/// let rules = Rules::new(Verdict::Pass)
///     .rule(destination(printer).and(destination_port(631)), Verdict::Pass)
///     .rule(destination(lan), Verdict::Drop);
/// assert_eq!(format!("{rules:?}"), "Rules { rules: 2, default: Pass }");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Rules<M = Box<dyn Match + Send + Sync>> {
    rules: Vec<(M, Verdict)>,
    default: Verdict,
}

impl Rules {
    /// Returns a list without rules, for any thread. `default` is the verdict on packets that no rule
    /// matches.
    ///
    /// ```
    /// # use brooklet_filter::{Rules, Verdict};
    /// let allow_list = Rules::new(Verdict::Drop);
    /// # let _ = allow_list;
    /// ```
    pub fn new(default: Verdict) -> Self {
        Self {
            rules: Vec::new(),
            default,
        }
    }

    /// Appends a rule: `verdict` on the packets that `of` matches.
    ///
    /// ```
    /// # use brooklet_filter::{Rules, Verdict, destination_port};
    /// let no_mail = Rules::new(Verdict::Pass).rule(destination_port(25), Verdict::Drop);
    /// # let _ = no_mail;
    /// ```
    #[must_use]
    pub fn rule(mut self, of: impl Match + Send + Sync + 'static, verdict: Verdict) -> Self {
        self.rules.push((Box::new(of), verdict));
        self
    }
}

impl Rules<Box<dyn Match>> {
    /// Returns a list without rules, for one thread. `default` is the verdict on packets that no rule
    /// matches.
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

    /// Appends a rule: `verdict` on the packets that `of` matches.
    ///
    /// ```
    /// # use brooklet_filter::{Rules, Verdict, destination_port};
    /// let no_mail = Rules::local(Verdict::Pass).rule(destination_port(25), Verdict::Drop);
    /// # let _ = no_mail;
    /// ```
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

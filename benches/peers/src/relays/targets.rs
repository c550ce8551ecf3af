//! What `run` and `forward` are to reach beside the others.

use crate::targets::{Target, at_least};
use crate::work::{self, MBIT};

/// In the order of the table.
pub(crate) fn all() -> Vec<Target> {
    let mut all = Vec::new();
    for (ours, theirs) in [("run", "slirp4netns"), ("run-1500", "slirp4netns-1500")] {
        for work in work::RELAYED {
            let ratio = match work.key() {
                _ if work.columns()[0] == MBIT => 2.0,
                "echo-1" => 1.2,
                _ => continue,
            };
            all.push(at_least(ratio, work.key(), work.columns()[0], ours).over(theirs));
        }
    }
    for (ratio, ours, theirs) in [
        (1.0, "run", "pasta"),
        (1.0, "run-1500", "pasta-1500"),
        (1.2, "forward", "tun2proxy"),
        (1.2, "forward-offload", "tun2proxy"),
    ] {
        for work in work::RELAYED {
            all.push(at_least(ratio, work.key(), work.columns()[0], ours).over(theirs));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relays::contender;

    #[test]
    fn every_target_is_of_something_that_is_measured() {
        let all = all();
        assert_eq!(all.len(), 2 * 5 + 4 * work::RELAYED.len());
        for target in all {
            for key in [Some(target.ours), target.theirs].into_iter().flatten() {
                assert!(contender::ALL.iter().any(|r| r.key == key), "{target:?}");
            }
        }
    }
}

//! What a fault did to the clients of a balancer.

use std::time::Duration;

use super::haproxy::Seen;
use super::load::{Ask, Asked};
use super::scenarios::{Balancer, Fault};

/// What a fault did to the clients of a balancer.
#[derive(Debug, Clone)]
pub struct Played {
    /// What happened.
    pub fault: Fault,
    /// Who sent the requests to the servers.
    pub balancer: Balancer,
    /// How many requests the clients sent.
    pub requests: usize,
    /// From the fault until the balancer had taken the server out, or both; none if it has not.
    pub out_after: Option<Duration>,
    /// From the repair until it was in again.
    pub in_after: Option<Duration>,
    /// Requests without the right answer that may be sent twice.
    pub lost_reads: usize,
    /// Requests without the right answer that must not be sent twice.
    pub lost_writes: usize,
    /// Those of both that the balancer could have saved.
    pub savable: usize,
    /// How many were sent to a server again.
    pub retries: Option<u64>,
    /// The longest time that a client waited.
    pub slowest: Duration,
    /// Why requests were lost, with counts.
    pub reasons: Vec<(String, usize)>,
}

/// When a fault began and ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) fault: Duration,
    pub(super) repair: Duration,
}

impl Played {
    pub(super) fn of(
        (fault, balancer): (Fault, Balancer),
        times: Times,
        asked: &[Asked],
        seen: &[Seen],
    ) -> Self {
        // Without a database nobody can answer the others.
        let counts = |asked: &&Asked| fault != Fault::DatabaseOfBoth || asked.ask == Ask::Versions;
        let lost: Vec<&Asked> = asked.iter().filter(|asked| !asked.wrong.is_empty()).filter(counts).collect();
        let writes = lost.iter().filter(|asked| asked.ask == Ask::Lock).count();
        // What may be sent twice can always be saved: another server works, or needs no database. The rest can, if it was sent
        // when the balancer knew that the server is out.
        let savable =
            lost.iter().filter(|asked| asked.ask != Ask::Lock || is_any_idle(seen, asked.at)).count();
        let both = fault == Fault::DatabaseOfBoth;
        let is_out = |seen: &&Seen| if both { seen.out == [true; 2] } else { seen.out[0] };
        let after = |at: Duration, seen: Option<&Seen>| seen.map(|seen| seen.at.saturating_sub(at));
        let watched = fault.lasts();
        let out = seen.iter().filter(|seen| watched && seen.at >= times.fault).find(is_out);
        let back = seen.iter().filter(|seen| seen.at >= times.repair).find(|seen| seen.out == [false; 2]);
        let mut reasons: Vec<(String, usize)> = Vec::new();
        for asked in &lost {
            match reasons.iter_mut().find(|(reason, _)| *reason == asked.wrong) {
                Some((_, count)) => *count += 1,
                None => reasons.push((asked.wrong.clone(), 1)),
            }
        }
        Self {
            fault,
            balancer,
            requests: asked.len(),
            out_after: after(times.fault, out),
            in_after: out.and_then(|_| after(times.repair, back)),
            lost_reads: lost.len() - writes,
            lost_writes: writes,
            savable,
            retries: None,
            slowest: asked.iter().map(|asked| asked.took).max().unwrap_or_default(),
            reasons,
        }
    }

    /// Whether nothing was lost that could have been saved, as far as that is for us to say.
    pub fn is_right(&self) -> bool {
        !self.balancer.is_ours() || self.savable == 0
    }
}

/// Whether the balancer had taken out a server altogether at this time.
fn is_any_idle(seen: &[Seen], at: Duration) -> bool {
    seen.iter().rev().find(|seen| seen.at <= at).is_some_and(|seen| seen.idle.contains(&true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times { fault: Duration::from_secs(10), repair: Duration::from_secs(40) };

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn asked(ask: Ask, at: u64, wrong: &str) -> Asked {
        Asked { ask, at: s(at), took: s(1), wrong: wrong.to_owned() }
    }

    fn seen() -> Vec<Seen> {
        [(0, false), (22, true), (45, false)]
            .map(|(at, out)| Seen { at: s(at), out: [out, false], idle: [out, false] })
            .to_vec()
    }

    #[test]
    fn a_write_is_savable_from_when_the_server_is_out_and_a_read_always() {
        let played = |ask, at| {
            let lost = [asked(ask, at, "500"), asked(ask, at, "")];
            Played::of((Fault::DatabaseOfOne, Balancer::Readyz), TIMES, &lost, &seen())
        };
        assert_eq!((played(Ask::Lock, 21).lost_writes, played(Ask::Lock, 21).savable), (1, 0));
        assert!(played(Ask::Lock, 21).is_right() && !played(Ask::Lock, 22).is_right());
        assert!(!played(Ask::Keypairs, 21).is_right());
        assert_eq!(
            (played(Ask::Lock, 21).out_after, played(Ask::Lock, 21).in_after),
            (Some(s(12)), Some(s(5)))
        );
    }

    #[test]
    fn without_a_database_only_what_needs_none_can_be_lost() {
        let lost =
            [asked(Ask::Keypairs, 30, "500"), asked(Ask::Lock, 30, "500"), asked(Ask::Versions, 30, "503")];
        let played = Played::of((Fault::DatabaseOfBoth, Balancer::Readyz), TIMES, &lost, &seen());
        assert_eq!((played.lost_reads, played.lost_writes, played.savable), (1, 0, 1));
        assert_eq!(played.out_after, None, "one of both is in");
    }
}

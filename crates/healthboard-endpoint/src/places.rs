//! The open connections, and how long each has waited.
//!
//! Each listening socket has a queue for each phase, ordered by the time at which connections began to wait. So the first
//! connection has waited longest and is the next to time out. Every operation takes constant time.

use crate::connection::{Connection, Phase};
use std::time::Instant;

/// An index that no slot has.
const NONE: u32 = u32::MAX;

/// All connections, counted by listening socket.
#[derive(Default)]
pub(crate) struct Places {
    slots: Vec<Slot>,
    free: Vec<u32>,
    listeners: Vec<ListenerQueues>,
}

/// The id of a connection. Slots are reused, but the `Id` of a removed connection does not find the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    slot: u32,
    generation: u32,
}

/// The connections of one listening socket.
#[derive(Default)]
struct ListenerQueues {
    count: usize,
    queues: [Queue; Phase::ALL.len()],
}

#[derive(Clone, Copy)]
struct Queue {
    first: u32,
    last: u32,
}

struct Slot {
    generation: u32,
    connection: Option<Connection>,
    listener: usize,
    /// Whether it is in the server's list of ready connections.
    is_ready: bool,
    waits: Option<(Phase, Instant)>,
    before: u32,
    after: u32,
}

impl Id {
    pub(crate) fn from_token(token: u64) -> Id {
        Id { slot: token as u32, generation: (token >> 32) as u32 }
    }

    pub(crate) fn token(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

impl Default for Queue {
    fn default() -> Queue {
        Queue { first: NONE, last: NONE }
    }
}

impl Places {
    pub(crate) fn insert(&mut self, listener: usize, connection: Connection) -> Id {
        while self.listeners.len() <= listener {
            self.listeners.push(ListenerQueues::default());
        }
        self.listeners[listener].count += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                connection: None,
                listener,
                is_ready: false,
                waits: None,
                before: NONE,
                after: NONE,
            });
            (self.slots.len() - 1) as u32
        });
        let place = &mut self.slots[slot as usize];
        place.connection = Some(connection);
        place.listener = listener;
        place.is_ready = false;
        Id { slot, generation: place.generation }
    }

    pub(crate) fn get(&mut self, id: Id) -> Option<&mut Connection> {
        self.slot(id)?.connection.as_mut()
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<Connection> {
        self.leave(id);
        let slot = self.slot(id)?;
        let connection = slot.connection.take();
        // 31 bits: tokens with the highest bit are not of connections.
        slot.generation = slot.generation.wrapping_add(1) & (u32::MAX >> 1);
        let listener = slot.listener;
        self.listeners[listener].count -= 1;
        self.free.push(id.slot);
        connection
    }

    /// How many connections a listening socket has.
    pub(crate) fn count(&self, listener: usize) -> usize {
        self.listeners.get(listener).map_or(0, |listener| listener.count)
    }

    /// How many connections there are.
    pub(crate) fn total(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The listening socket that a connection came from.
    pub(crate) fn listener(&mut self, id: Id) -> Option<usize> {
        self.slot(id).map(|slot| slot.listener)
    }

    /// Marks a connection as ready; returns whether it was not ready before.
    pub(crate) fn set_ready(&mut self, id: Id) -> bool {
        self.slot(id).is_some_and(|slot| !std::mem::replace(&mut slot.is_ready, true))
    }

    /// Marks a connection as not ready: its turn has come.
    pub(crate) fn clear_ready(&mut self, id: Id) {
        if let Some(slot) = self.slot(id) {
            slot.is_ready = false;
        }
    }

    /// Makes the connection wait for its peer. If it already waits in this phase, the wait continues, unless `restart` is
    /// set. Returns whether a wait begins.
    pub(crate) fn wait(&mut self, id: Id, phase: Phase, restart: bool, now: Instant) -> bool {
        let Some(slot) = self.slot(id) else { return false };
        if !restart && slot.waits.is_some_and(|(before, _)| before == phase) {
            return false;
        }
        self.leave(id);
        let Some(slot) = self.slot(id) else { return false };
        slot.waits = Some((phase, now));
        let listener = slot.listener;
        let queue = &mut self.listeners[listener].queues[phase as usize];
        let last = std::mem::replace(&mut queue.last, id.slot);
        if last == NONE {
            queue.first = id.slot;
        } else {
            self.slots[last as usize].after = id.slot;
        }
        let slot = &mut self.slots[id.slot as usize];
        (slot.before, slot.after) = (last, NONE);
        true
    }

    /// Ends the wait of the connection.
    pub(crate) fn leave(&mut self, id: Id) {
        let Some(slot) = self.slot(id) else { return };
        let Some((phase, _)) = slot.waits.take() else { return };
        let (listener, before, after) = (slot.listener, slot.before, slot.after);
        let queue = &mut self.listeners[listener].queues[phase as usize];
        if before == NONE {
            queue.first = after
        } else {
            self.slots[before as usize].after = after
        }
        if after == NONE { queue.last = before } else { self.slots[after as usize].before = before }
    }

    /// The connections of a listening socket that wait in a phase: the id, the begin of the wait, and whether it is ready.
    /// The connection that has waited longest comes first.
    pub(crate) fn waiting(
        &self,
        listener: usize,
        phase: Phase,
    ) -> impl Iterator<Item = (Id, Instant, bool)> + '_ {
        let queue = self.listeners.get(listener).map(|listener| listener.queues[phase as usize]);
        let mut next = queue.unwrap_or_default().first;
        std::iter::from_fn(move || {
            let slot = self.slots.get(next as usize)?;
            let id = Id { slot: next, generation: slot.generation };
            next = slot.after;
            slot.waits.map(|(_, since)| (id, since, slot.is_ready))
        })
    }

    /// The first of [`waiting`](Places::waiting), which has waited longest.
    pub(crate) fn first(&self, listener: usize, phase: Phase) -> Option<(Id, Instant, bool)> {
        self.waiting(listener, phase).next()
    }

    /// How many listening sockets have ever had a connection.
    pub(crate) fn listeners(&self) -> usize {
        self.listeners.len()
    }

    fn slot(&mut self, id: Id) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        (slot.generation == id.generation && slot.connection.is_some()).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Ends;
    use crate::transport::Transport;
    use std::time::Duration;

    fn insert_connection(places: &mut Places, listener: usize) -> Id {
        let socket = std::fs::File::open("/dev/null").unwrap().into();
        places.insert(listener, Connection::new(socket, Ends::default(), Transport::Plain, Instant::now()))
    }

    fn order(places: &Places, listener: usize, phase: Phase) -> Vec<Id> {
        places.waiting(listener, phase).map(|(id, ..)| id).collect()
    }

    #[test]
    fn the_one_that_has_waited_longest_in_its_phase_is_the_first() {
        let mut places = Places::default();
        let now = Instant::now();
        let [a, b, c, other] = [0, 0, 0, 1].map(|listener| insert_connection(&mut places, listener));
        for id in [a, b, c, other] {
            places.wait(id, Phase::Head, false, now);
        }
        // More of a head does not restart the wait.
        places.wait(a, Phase::Head, false, now + Duration::from_secs(9));
        assert_eq!(order(&places, 0, Phase::Head), [a, b, c]);
        assert_eq!(places.waiting(0, Phase::Head).next().map(|(_, since, _)| since), Some(now));
        places.wait(b, Phase::Idle, true, now);
        places.wait(a, Phase::Idle, true, now);
        places.wait(b, Phase::Idle, true, now);
        assert_eq!(order(&places, 0, Phase::Head), [c]);
        assert_eq!(order(&places, 0, Phase::Idle), [a, b]);
        assert_eq!(order(&places, 1, Phase::Head), [other]);
        places.leave(a);
        assert_eq!(order(&places, 0, Phase::Idle), [b]);
        assert_eq!((places.count(0), places.count(1), places.total()), (3, 1, 4));
    }

    #[test]
    fn a_connection_in_a_reused_slot_is_not_taken_for_the_old_one() {
        let mut places = Places::default();
        let first = insert_connection(&mut places, 0);
        places.wait(first, Phase::Head, false, Instant::now());
        assert!(places.remove(first).is_some());
        assert_eq!(order(&places, 0, Phase::Head), []);
        let second = insert_connection(&mut places, 0);
        assert_eq!(second.slot, first.slot);
        assert!(places.get(first).is_none() && places.remove(first).is_none() && !places.set_ready(first));
        assert!(places.get(second).is_some() && places.set_ready(second) && !places.set_ready(second));
        assert_eq!(Id::from_token(second.token()), second);
        assert_eq!(places.count(0), 1);
    }

    #[test]
    fn the_queues_have_exactly_the_waiting_connections_after_any_operations() {
        let mut places = Places::default();
        let now = Instant::now();
        let mut alive: Vec<(Id, Option<Phase>)> = Vec::new();
        let mut seed = 7_u64;
        for round in 0..5000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (pick, choice) = ((seed >> 33) as usize, (seed >> 20) % 7);
            if alive.is_empty() || (choice == 0 && alive.len() < 50) {
                alive.push((insert_connection(&mut places, pick % 3), None));
                continue;
            }
            let at = pick % alive.len();
            let (id, phase) = &mut alive[at];
            match choice {
                1 => {
                    places.remove(*id).unwrap();
                    alive.swap_remove(at);
                }
                2 => {
                    places.leave(*id);
                    *phase = None;
                }
                other => {
                    let next = Phase::ALL[(other % 4) as usize];
                    places.wait(*id, next, pick.is_multiple_of(2), now + Duration::from_nanos(round));
                    *phase = Some(next);
                }
            }
            let mut waiting = 0;
            for listener in 0..places.listeners() {
                for phase in Phase::ALL {
                    let queue: Vec<_> = places.waiting(listener, phase).collect();
                    assert!(queue.is_sorted_by_key(|(_, since, _)| *since));
                    assert!(queue.iter().all(|(id, ..)| alive.contains(&(*id, Some(phase)))));
                    waiting += queue.len();
                }
            }
            assert_eq!(waiting, alive.iter().filter(|(_, phase)| phase.is_some()).count());
        }
    }
}

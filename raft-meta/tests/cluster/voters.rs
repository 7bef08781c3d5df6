//! Who votes changes while things go wrong: voters are added, removed, replaced after their disks were lost, and moved.

use crate::{
    mishap,
    world::{MS, World},
};
use corelane_core::{ids::NodeId, log::Fault};
use corelane_raft_meta::{ChangeError, QuorumSettings, Seat, VoterChange};
use std::collections::BTreeMap;

/// More than any answer to a change takes.
const ANSWERED_WITHIN_MS: u64 = 8_000;

/// Nodes of which the first `founders` form the cluster; the others wait to be added.
fn world(seed: u64, founders: i32, count: i32) -> World {
    let mut world = World::new(seed, count);
    for (_, node) in world.nodes.iter_mut().filter(|(id, _)| **id > founders) {
        (node.is_founder, node.joins) = (false, true);
    }
    world
}

/// With a leader.
fn formed(seed: u64, founders: i32, count: i32) -> World {
    let mut world = world(seed, founders, count);
    world.start_all();
    world.until("a leader", 10_000, |world| world.leader().is_some());
    world.run_ms(1_000);
    world
}

fn add(world: &World, id: i32) -> VoterChange {
    let node = &world.nodes[&id];
    VoterChange::Add { voter: NodeId(id), directory: node.directory_id, endpoint: node.endpoint.clone() }
}

fn remove(id: i32, directory: u128) -> VoterChange {
    VoterChange::Remove { voter: NodeId(id), directory }
}

/// What becomes of it.
fn changed(world: &mut World, change: VoterChange) -> Result<(), ChangeError> {
    let leader = world.leader().expect("a leader");
    let number = world.change(leader, change);
    world.until("an answer", ANSWERED_WITHIN_MS, |world| world.changes.contains_key(&number));
    world.changes[&number].clone()
}

/// The voters with their directories, as the leader knows.
fn recorded(world: &World, leader: i32) -> BTreeMap<i32, u128> {
    let quorum = world.nodes[&leader].quorum.as_ref().expect("it lives");
    let standing = quorum.standing(world.now());
    standing.voters.iter().map(|voter| (voter.node.0, voter.directory.unwrap_or(0))).collect()
}

/// Whether a proposal is acknowledged within so many milliseconds.
fn is_writable(world: &mut World, within_ms: u64) -> bool {
    let before = world.checker.acknowledged();
    if let Some(leader) = world.leader() {
        world.propose(leader);
    }
    world.run_ms(within_ms);
    world.checker.acknowledged() > before
}

fn others(world: &World) -> Vec<i32> {
    let leader = world.leader().expect("a leader");
    recorded(world, leader).into_keys().filter(|id| *id != leader).collect()
}

#[test]
fn a_voter_is_added_when_it_has_caught_up_and_counts_from_then_on() {
    let mut world = world(1, 3, 4);
    for id in [1, 2, 3] {
        let settings = world.settings(id);
        world.start_with(id, settings);
    }
    world.until("a leader", 10_000, |world| world.leader().is_some());
    let leader = world.leader().expect("formed");
    // More than the log keeps: the new one needs a snapshot.
    for _ in 0..150 {
        let proposal = world.propose(leader);
        world.until("an answer", 5_000, |world| world.holds(leader, proposal));
    }
    let fourth = add(&world, 4);
    assert_eq!(changed(&mut world, fourth.clone()), Err(ChangeError::Lagging(NodeId(4))));
    assert_eq!(recorded(&world, leader).len(), 3, "it does not count before it has everything");
    world.start_all();
    assert_eq!(changed(&mut world, fourth), Ok(()));
    assert_eq!(recorded(&world, leader)[&4], world.nodes[&4].directory_id);
    assert!(is_writable(&mut world, 1_000));
    let gone: Vec<i32> = others(&world).into_iter().filter(|id| *id != 4).collect();
    world.kill(gone[0]);
    assert!(is_writable(&mut world, 1_000), "the new one makes a majority");
    world.kill(gone[1]);
    assert!(!is_writable(&mut world, 5_000), "two of four are none");
    assert_eq!(world.checker.violations, [""; 0]);
}

#[test]
fn a_voter_whose_disk_was_lost_is_replaced_under_its_node_id() {
    for joins in [false, true] {
        let mut world = formed(2, 3, 3);
        let leader = world.leader().expect("formed");
        let lost = others(&world)[0];
        let old = world.nodes[&lost].directory_id;
        world.wipe(lost);
        world.nodes.get_mut(&lost).expect("a node").joins = joins;
        world.start_all();
        world.run_ms(5_000);
        let again = add(&world, lost);
        assert_eq!(changed(&mut world, again.clone()), Err(ChangeError::DuplicateVoter(NodeId(lost))));
        assert_eq!(changed(&mut world, remove(lost, old)), Ok(()));
        assert_eq!(changed(&mut world, again), Ok(()));
        assert_eq!(recorded(&world, leader)[&lost], world.nodes[&lost].directory_id);
        let third = others(&world).into_iter().find(|id| *id != lost).expect("a third");
        world.kill(third);
        assert!(is_writable(&mut world, 1_000), "it counts again");
        world.kill(leader);
        world.start_with(third, world.settings(third));
        world.until("another leader", 10_000, |world| world.leader().is_some_and(|it| it != leader));
        assert_eq!(world.checker.violations, [""; 0]);
    }
}

#[test]
fn a_removed_leader_steps_down_when_that_is_committed_and_never_leads_again() {
    let mut world = formed(3, 3, 3);
    let leader = world.leader().expect("formed");
    let directory = world.nodes[&leader].directory_id;
    assert_eq!(changed(&mut world, remove(leader, directory)), Ok(()));
    let other =
        |world: &World| world.leader().is_some_and(|it| it != leader) && !world.nodes[&leader].writable;
    assert!(world.until("another leader", 2_000, other) < 1_000);
    assert_eq!(world.nodes[&leader].quorum.as_ref().expect("it lives").voters().len(), 2);
    let heir = world.leader().expect("found");
    let term = world.nodes[&heir].term;
    world.run_ms(30_000);
    assert_eq!((world.leader(), world.nodes[&heir].term), (Some(heir), term), "it disturbs no one");
    world.kill(leader);
    assert!(is_writable(&mut world, 1_000), "and does not count");
    assert_eq!(world.checker.violations, [""; 0]);
}

#[test]
fn changes_that_cannot_be_made_are_refused_with_their_reasons() {
    let mut world = formed(4, 1, 3);
    let stranger = remove(9, 9);
    assert_eq!(changed(&mut world, remove(1, 1)), Err(ChangeError::LastVoter(NodeId(1))));
    assert_eq!(changed(&mut world, stranger), Err(ChangeError::VoterNotFound(NodeId(9))));
    let (second, third) = (add(&world, 2), add(&world, 3));
    let both = [world.change(1, second.clone()), world.change(1, third)];
    world.until("answers", ANSWERED_WITHIN_MS, |world| both.iter().all(|it| world.changes.contains_key(it)));
    assert_eq!(world.changes[&both[0]], Ok(()));
    assert_eq!(world.changes[&both[1]], Err(ChangeError::InProgress));
    assert_eq!(changed(&mut world, second.clone()), Err(ChangeError::DuplicateVoter(NodeId(2))));
    let wrong = world.nodes[&2].directory_id + 1;
    assert_eq!(changed(&mut world, remove(2, wrong)), Err(ChangeError::VoterNotFound(NodeId(2))));
    let elsewhere = world.change(3, second.clone());
    world.run_ms(100);
    assert_eq!(world.changes[&elsewhere], Err(ChangeError::NotLeader { leader: None }));
    let leader = world.leader().expect("still");
    let stopped = world.change(leader, second);
    world.kill(leader);
    assert!(!world.changes.contains_key(&stopped) || world.changes[&stopped].is_err());
}

#[test]
fn a_cluster_of_one_grows_to_three_and_shrinks_to_one_again() {
    let mut world = formed(5, 1, 3);
    for id in [2, 3] {
        let change = add(&world, id);
        assert_eq!(changed(&mut world, change), Ok(()));
    }
    world.kill(1);
    world.until("another leader", 10_000, |world| world.leader().is_some());
    world.start_all();
    world.run_ms(2_000);
    world.until("agreement", 10_000, World::agrees);
    for _ in 0..2 {
        let leader = world.leader().expect("still");
        let change = remove(leader, world.nodes[&leader].directory_id);
        assert_eq!(changed(&mut world, change), Ok(()));
        world.until("another leader", 5_000, |world| world.leader().is_some_and(|it| it != leader));
    }
    let last = world.leader().expect("found");
    assert!(is_writable(&mut world, 1_000));
    world.kill(last);
    let settings = world.settings(last);
    world.start_with(last, settings);
    world.until("it again", 1_000, |world| world.leader() == Some(last));
    assert_eq!(world.checker.violations, [""; 0]);
}

#[test]
fn a_node_that_nobody_added_waits_and_leads_nothing() {
    let mut world = world(6, 3, 4);
    let settings = world.settings(4);
    world.start_with(4, settings);
    world.run_ms(30_000);
    assert_eq!((world.nodes[&4].leader, world.nodes[&4].term), (None, 0));
}

#[test]
fn a_voter_that_moves_is_found_where_it_says() {
    let mut world = formed(7, 3, 3);
    let leader = world.leader().expect("formed");
    let moved = others(&world)[0];
    world.kill(moved);
    world.nodes.get_mut(&moved).expect("a node").endpoint = "elsewhere:9093".to_owned();
    world.start_all();
    let proposal = world.propose(leader);
    // Later it asks others by itself.
    world.run_ms(2_000);
    assert!(!world.holds(moved, proposal));
    let node = &world.nodes[&moved];
    let (voter, endpoint) = (NodeId(moved), node.endpoint.clone());
    let elsewhere = VoterChange::Move { voter, directory: node.directory_id + 1, endpoint: endpoint.clone() };
    let here = VoterChange::Move { voter, directory: node.directory_id, endpoint };
    let leader = world.leader().expect("still");
    assert_eq!(changed(&mut world, elsewhere), Err(ChangeError::VoterNotFound(voter)));
    assert_eq!(changed(&mut world, here), Ok(()));
    world.until("it has that", 5_000, |world| world.holds(moved, proposal));
    // Also for those who do not lead.
    let third = others(&world).into_iter().find(|id| *id != moved).expect("a third");
    world.kill(leader);
    world.until("another leader", 20_000, |world| world.leader().is_some());
    assert!(is_writable(&mut world, 1_000));
    assert!(world.nodes[&third].quorum.is_some());
    assert_eq!(world.checker.violations, [""; 0]);
}

fn observes(world: &World, id: i32) -> bool {
    world.nodes[&id].quorum.as_ref().is_some_and(Seat::observes)
}

#[test]
fn a_controller_without_a_vote_follows_from_the_start_and_after_its_removal() {
    let mut world = world(8, 3, 4);
    for id in [1, 2, 3] {
        let settings = world.settings(id);
        world.start_with(id, settings);
    }
    world.until("a leader", 10_000, |world| world.leader().is_some());
    let leader = world.leader().expect("formed");
    // It knows only where to ask.
    let settings = QuorumSettings { voters: Vec::new(), ..world.settings(4) };
    world.start_with(4, settings);
    // More than the log keeps.
    for _ in 0..100 {
        let proposal = world.propose(leader);
        world.until("the batch", 5_000, |world| world.holds(leader, proposal));
    }
    world.until("the fourth has it", 5_000, |world| world.agrees());
    assert!(observes(&world, 4));
    assert_eq!(world.nodes[&4].leader, world.leader(), "it knows who leads");
    let now = world.now();
    let standing = world.nodes[&leader].quorum.as_ref().expect("it lives").standing(now);
    let observers: Vec<_> = standing.observers.iter().map(|it| (it.node.0, it.directory)).collect();
    assert_eq!(observers, [(4, Some(world.nodes[&4].directory_id))]);

    let fourth = add(&world, 4);
    assert_eq!(changed(&mut world, fourth), Ok(()));
    world.until("a vote", 5_000, |world| !observes(world, 4));
    let proposal = world.propose(leader);
    world.until("it has that", 5_000, |world| world.holds(4, proposal));

    let directory = world.nodes[&4].directory_id;
    assert_eq!(changed(&mut world, remove(4, directory)), Ok(()));
    let proposal = world.propose(world.leader().expect("still"));
    world.until("it has that too", 15_000, |world| world.holds(4, proposal));
    world.until("it follows", 15_000, |world| observes(world, 4));
    let proposal = world.propose(world.leader().expect("still"));
    world.until("and all that comes", 1_000, |world| world.holds(4, proposal));
    assert_eq!(world.checker.violations, [""; 0]);
}

#[test]
fn a_controller_that_was_removed_while_it_was_away_finds_out_and_follows() {
    let mut world = formed(9, 3, 3);
    let away = others(&world)[0];
    let directory = world.nodes[&away].directory_id;
    world.kill(away);
    assert_eq!(changed(&mut world, remove(away, directory)), Ok(()));
    let proposal = world.propose(world.leader().expect("still"));
    world.start_all();
    world.until("it has what came", 20_000, |world| world.holds(away, proposal));
    assert!(observes(&world, away));
    let fourth = add(&world, away);
    assert_eq!(changed(&mut world, fourth), Ok(()));
    world.until("a vote again", 5_000, |world| !observes(world, away));
    assert_eq!(world.checker.violations, [""; 0]);
}

#[test]
fn two_that_were_removed_while_they_were_away_do_not_wait_for_each_other() {
    // Whom a node asks first depends on its id.
    for pair in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        let mut world = formed(10, 5, 5);
        let others = others(&world);
        let away = [others[pair.0], others[pair.1]];
        away.iter().for_each(|id| world.kill(*id));
        for id in away {
            let change = remove(id, world.nodes[&id].directory_id);
            assert_eq!(changed(&mut world, change), Ok(()));
        }
        // Of the next term they hear, and not who leads in it.
        let leader = world.leader().expect("still");
        world.kill(leader);
        world.until("another leader", 20_000, |world| world.leader().is_some());
        world.start_all();
        world.until("they follow", 20_000, |world| away.iter().all(|id| observes(world, *id)));
        let proposal = world.propose(world.leader().expect("still"));
        world.until("they have what came", 20_000, |world| away.iter().all(|id| world.holds(*id, proposal)));
        assert_eq!(world.checker.violations, [""; 0]);
    }
}

/// The administrator of a cluster whose voters come and go.
#[derive(Default)]
struct Administrator {
    /// Whose disk was lost, and the directory that it had; until it is a voter again.
    lost: Option<(i32, u128)>,
    /// What was asked for last, and until when there may be an answer: whoever was asked may be gone.
    asked: Option<(u64, VoterChange, u64)>,
    done: usize,
    replaced: usize,
}

impl Administrator {
    /// Looks at what became of the last change, and asks for another.
    fn act(&mut self, world: &mut World) {
        let Some(leader) = world.leader() else { return };
        if let Some((number, change, until_ns)) = &self.asked {
            let unanswered = Err(ChangeError::TimedOut);
            let Some(result) =
                world.changes.get(number).or_else(|| (world.now_ns > *until_ns).then_some(&unanswered))
            else {
                return;
            };
            self.done += usize::from(result.is_ok());
            let is_voter = matches!(result, Ok(()) | Err(ChangeError::DuplicateVoter(_)));
            if let (VoterChange::Add { voter, directory, .. }, Some((lost, _))) = (change, self.lost)
                && is_voter
                && voter.0 == lost
                // An answer may be about the disk before.
                && *directory == world.nodes[&lost].directory_id
                && recorded(world, leader).get(&lost) == Some(directory)
            {
                self.replaced += 1;
                self.lost = None;
            }
        }
        let Some(change) = self.wish(world, leader) else { return };
        let until_ns = world.now_ns + ANSWERED_WITHIN_MS * MS;
        self.asked = Some((world.change(leader, change.clone()), change, until_ns));
    }

    fn wish(&mut self, world: &mut World, leader: i32) -> Option<VoterChange> {
        let voters = recorded(world, leader);
        if let Some((lost, old)) = self.lost {
            return match voters.get(&lost) {
                Some(directory) if *directory == old => Some(remove(lost, old)),
                _ => Some(add(world, lost)),
            };
        }
        let ids: Vec<i32> = world.nodes.keys().copied().collect();
        let any = ids[world.random.below(ids.len())];
        match (world.random.below(4), voters.get(&any)) {
            (0 | 1, None) => Some(add(world, any)),
            (0 | 1, Some(directory)) if voters.len() > 3 => Some(remove(any, *directory)),
            (2, Some(_)) if voters.len() > 2 => {
                lose(world, any);
                self.lost = Some((any, voters[&any]));
                None
            }
            _ => None,
        }
    }

    /// Until every node votes.
    fn add_all(&mut self, world: &mut World) {
        let until_ns = world.now_ns + 120_000 * MS;
        loop {
            let voters = world.leader().map(|leader| recorded(world, leader)).unwrap_or_default();
            let is_it = |id: &i32| voters.get(id) == Some(&world.nodes[id].directory_id);
            let missing: Vec<i32> = world.nodes.keys().copied().filter(|id| !is_it(id)).collect();
            let Some(next) = missing.first().copied() else { return };
            let answers = &world.changes;
            let told = || format!("{voters:?}, without {missing:?}, {answers:?}: {}", world.state());
            assert!(world.now_ns < until_ns, "{}", told());
            if let Some(leader) = world.leader() {
                let change = match voters.get(&next) {
                    Some(directory) => remove(next, *directory),
                    None => add(world, next),
                };
                world.change(leader, change);
            }
            world.run_ms(5_000);
        }
    }
}

/// A disk is replaced by an empty one.
fn lose(world: &mut World, id: i32) {
    world.wipe(id);
    let joins = world.random.below(2) == 0;
    let node = world.nodes.get_mut(&id).expect("a node");
    node.joins = joins || !node.is_founder;
    let settings = world.settings(id);
    world.start_with(id, settings);
}

/// Faults for a while, and voters that come and go.
fn storm(seed: u64, administrator: &mut Administrator) -> World {
    let mut world = world(seed, 3, 5);
    world.start_all();
    world.until("a leader", 10_000, |world| world.leader().is_some());
    for _ in 0..160 {
        let pause = 1 + world.random.below(250) as u64;
        for _ in 0..world.random.below(4) {
            let to = world.leader().filter(|_| world.random.below(10) > 0).unwrap_or(1);
            if world.nodes[&to].quorum.is_some() {
                world.propose(to);
            }
        }
        world.run_ms(pause);
        administrator.act(&mut world);
        mishap(&mut world, 5);
        if !world.checker.violations.is_empty() {
            break;
        }
    }
    world
}

#[test]
fn voters_come_and_go_whatever_happens() {
    let (mut acknowledged, mut done, mut replaced) = (0, 0, 0);
    for seed in 400..416 {
        let mut administrator = Administrator::default();
        let mut world = storm(seed, &mut administrator);
        assert_eq!(world.checker.violations, [""; 0], "seed {seed}");
        world.weather = crate::world::Weather::default();
        world.cut.clear();
        world.start_all();
        administrator.add_all(&mut world);
        crate::heal(&mut world);
        assert_eq!(world.checker.violations, [""; 0], "seed {seed}");
        acknowledged += world.checker.acknowledged();
        done += administrator.done;
        replaced += administrator.replaced;
    }
    assert!(acknowledged > 400, "they got something done: {acknowledged}");
    assert!(done > 80 && replaced > 16, "voters came and went: {done}, replaced {replaced}");
}

/// Three voters, of which one loses its disk again and again; nobody replaces it.
fn forgetful(seed: u64, fault: Fault) -> Vec<String> {
    let mut world = World::new(seed, 3);
    world.fault = fault;
    world.start_all();
    world.until("a leader", 10_000, |world| world.leader().is_some());
    world.run_ms(1_000);
    for _ in 0..60 {
        if let Some(leader) = world.leader() {
            world.propose(leader);
        }
        let pause = 1 + world.random.below(250) as u64;
        world.run_ms(pause);
        mishap(&mut world, 3);
        if world.random.below(8) == 0 {
            lose(&mut world, 3);
        }
    }
    world.checker.violations
}

#[test]
fn voters_whose_directories_are_not_looked_at_are_found_out() {
    let is_loss = |text: &String| text.starts_with("lost") || text.starts_with("two leaders");
    let found = (500..520).find(|seed| forgetful(*seed, Fault::TakeAnyDirectory).iter().any(is_loss));
    let seed = found.expect("a run in which what was acknowledged is lost");
    assert_eq!(forgetful(seed, Fault::None), [""; 0]);
}

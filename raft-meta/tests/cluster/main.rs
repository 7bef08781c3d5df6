//! Quorums of three and five: one leader per term, nothing committed is lost, all apply the same, every proposal is
//! answered once, and after the faults all is well again in time. Whatever the network, the processes and the disks do.

mod checker;
mod observers;
#[path = "../support/mod.rs"]
mod support;
mod voters;
mod world;

use corelane_core::{ids::NodeId, log::Fault};
use corelane_raft_meta::QuorumInput;
use world::{MS, Weather, World};

/// Milliseconds from the last fault to a leader, and to the same image everywhere: a lease, two elections, and one
/// pause after a failure.
const HEALS_WITHIN_MS: u64 = 10_000;

const STORM: Weather = Weather { lost: 30, twice: 30, late: 30 };

/// What goes wrong, apart from the network.
#[derive(Clone, Copy, PartialEq)]
enum Disks {
    Keep,
    /// What was flushed is lost nevertheless at a power cut: whatever a voter promised, it forgets.
    Lie,
}

/// One random thing goes wrong, or right again.
fn mishap(world: &mut World, count: i32) {
    let node = 1 + i32::try_from(world.random.below(count.unsigned_abs() as usize)).expect("small");
    let other = 1 + i32::try_from(world.random.below(count.unsigned_abs() as usize)).expect("small");
    match world.random.below(13) {
        0 | 1 => {
            world.kill(node);
            let disk = world.nodes[&node].disk.clone();
            match world.random.below(3) {
                0 => disk.repair(),
                1 => disk.power_cut(&mut world.random),
                _ => disk.hard_cut(),
            }
        }
        2..=5 => world.start_all(),
        6 => world.isolate(node),
        7 if node != other => drop(world.cut.insert((node, other))),
        8 | 9 => world.cut.clear(),
        10 => world.input(node, QuorumInput::TransferLeader),
        // Whether that is so or not.
        12 => {
            let ended = world.random.below(2) == 0;
            world.input(node, QuorumInput::Parted { voter: NodeId(other), ended });
        }
        11 => {
            world.weather = if world.random.below(2) == 0 { STORM } else { Weather::default() };
        }
        _ => {}
    }
}

/// Faults for a while, then none.
fn storm(seed: u64, count: i32, disks: Disks) -> World {
    let mut world = World::new(seed, count);
    for node in world.nodes.values() {
        if disks == Disks::Lie {
            node.disk.lie();
        }
    }
    world.start_all();
    for _ in 0..120 {
        let pause = 1 + world.random.below(250) as u64;
        for _ in 0..world.random.below(4) {
            let anyone = 1 + i32::try_from(world.random.below(count.unsigned_abs() as usize)).expect("small");
            let to = world.leader().filter(|_| world.random.below(10) > 0).unwrap_or(anyone);
            if world.nodes[&to].quorum.is_some() {
                world.propose(to);
            }
        }
        world.run_ms(pause);
        mishap(&mut world, count);
        if !world.checker.violations.is_empty() {
            return world;
        }
    }
    world
}

/// The faults are over: in time a proposal goes through that someone who says to lead is asked for, as a client asks
/// again after a refusal; then all nodes follow one leader and hold the same.
fn heal(world: &mut World) {
    world.weather = Weather::default();
    world.cut.clear();
    world.start_all();
    let healed_ns = world.now_ns + HEALS_WITHIN_MS * MS;
    let mut last = None;
    while last.is_none_or(|last| !world.nodes.keys().any(|id| world.holds(*id, last))) {
        assert!(world.now_ns < healed_ns, "nothing goes through after the faults: {}", world.state());
        if let Some(leader) = world.leader() {
            last = Some(world.propose(leader));
        }
        world.run_ms(200);
    }
    let all_well = |world: &World| {
        let leader = world.leader();
        leader.is_some() && world.nodes.values().all(|node| node.leader == leader) && world.agrees()
    };
    world.until("agreement after the faults", HEALS_WITHIN_MS, all_well);
    world.run_ms(500);
    assert_eq!(world.strange_answers, 0, "what was asked once is answered once");
    world.checker.settled(world.nodes.values().map(|node| &node.image));
}

fn survives(seed: u64, count: i32) -> World {
    let mut world = storm(seed, count, Disks::Keep);
    assert_eq!(world.checker.violations, [""; 0], "seed {seed}");
    heal(&mut world);
    assert_eq!(world.checker.violations, [""; 0], "seed {seed}");
    world
}

#[test]
fn three_voters_survive_whatever_happens() {
    let acknowledged: usize = (0..24).map(|seed| survives(seed, 3).checker.acknowledged()).sum();
    assert!(acknowledged > 600, "they got something done: {acknowledged}");
}

#[test]
fn five_voters_survive_whatever_happens() {
    let acknowledged: usize = (100..110).map(|seed| survives(seed, 5).checker.acknowledged()).sum();
    assert!(acknowledged > 250, "they got something done: {acknowledged}");
}

#[test]
fn the_same_seed_gives_the_same_run_of_a_cluster() {
    let run = |seed| {
        let world = survives(seed, 3);
        (world.trace(), world.now_ns, world.told)
    };
    for seed in 200..203 {
        let first = run(seed);
        assert!(first.2.len() > 100);
        assert_eq!(first, run(seed), "seed {seed}");
    }
    assert_ne!(run(200).0, run(201).0);
}

#[test]
fn voters_that_forget_what_they_promised_are_found_out() {
    let violations: Vec<String> =
        (300..340).flat_map(|seed| storm(seed, 3, Disks::Lie).checker.violations).collect();
    for kind in ["lost", "two leaders"] {
        assert!(violations.iter().any(|text| text.starts_with(kind)), "{kind}: {violations:?}");
    }
}

/// A voter's power goes between its vote and the first word of whom it elected, who is cut off in that moment; then it
/// and the third voter, who knows of nothing, elect. In a storm that moment, of a message's way, is met too rarely: with
/// the first append a voter stores that its vote was won.
fn elect_twice(seed: u64, fault: Fault) -> World {
    let mut world = World::formed(seed, 3);
    world.fault = fault;
    // Now all three have the planted bug, and what they promised before is on their disks.
    world.run_ms(1_000);
    for id in 1..=3 {
        world.kill(id);
    }
    world.start_all();
    world.until("a leader", 10_000, |world| world.leader().is_some());
    world.run_ms(1_000);
    let (unaware, term) = (world.leader().expect("formed"), world.nodes[&1].term);
    world.kill(unaware);
    let won = |world: &World| {
        let mut nodes = world.nodes.iter();
        nodes.find(|(id, node)| node.term > term && node.leader == Some(**id)).map(|(id, _)| *id)
    };
    let elected = loop {
        assert!(world.step(world.now_ns + 20_000 * MS), "nobody is elected: {}", world.state());
        if let Some(elected) = won(&world) {
            break elected;
        }
    };
    let voted = 6 - unaware - elected;
    world.isolate(elected);
    world.kill(voted);
    world.nodes[&voted].disk.hard_cut();
    // What is under way to the two that are down comes to nothing.
    world.run_ms(100);
    world.start_all();
    world.run_ms(20_000);
    world
}

#[test]
fn a_vote_is_on_the_disk_before_it_is_told_and_a_planted_bug_is_seen() {
    let mut twice = 0;
    for seed in 0..20 {
        let mut world = elect_twice(seed, Fault::None);
        assert_eq!(world.checker.violations, [""; 0], "seed {seed}");
        assert!(world.leader().is_some(), "they elect another: {}", world.state());
        heal(&mut world);
        assert_eq!(world.checker.violations, [""; 0], "seed {seed}");
        let violations = elect_twice(seed, Fault::ForgetVotes).checker.violations;
        twice += usize::from(violations.iter().any(|text| text.starts_with("two leaders")));
    }
    assert!(twice >= 10, "two leaders of a term were seen in {twice} of 20 runs");
}

#[test]
fn a_lost_leader_is_replaced_within_seconds() {
    let mut took_ms = Vec::new();
    for seed in 0..20 {
        let mut world = World::formed(seed, 3);
        world.run_ms(1_000);
        let leader = world.leader().expect("formed");
        world.kill(leader);
        took_ms.push(world.until("another leader", 10_000, |world| world.leader().is_some()));
    }
    took_ms.sort_unstable();
    assert!(took_ms[10] <= 2_500 && took_ms[19] <= 5_000, "{took_ms:?}");
}

/// Everyone hears that the connections with a node are gone.
fn part(world: &mut World, with: i32, ended: bool) {
    let others: Vec<i32> = world.nodes.keys().copied().filter(|id| *id != with).collect();
    for id in others {
        world.input(id, QuorumInput::Parted { voter: NodeId(with), ended });
    }
}

#[test]
fn a_leader_whose_connections_are_gone_is_replaced_at_once() {
    for (count, ended, median_ms, most_ms) in [(3, true, 80, 300), (3, false, 300, 500), (5, true, 80, 400)] {
        let mut took_ms = Vec::new();
        for seed in 0..20 {
            let mut world = World::formed(seed, count);
            world.run_ms(1_000);
            let leader = world.leader().expect("formed");
            let proposal = world.propose(leader);
            world.until("an answer", 5_000, |world| world.holds(leader, proposal));
            world.kill(leader);
            // A connection's end comes after what was said on it.
            world.run_ms(3);
            part(&mut world, leader, ended);
            took_ms.push(world.until("another leader", 10_000, |world| world.leader().is_some()));
            assert!(world.holds(world.leader().expect("found"), proposal));
            assert_eq!(world.checker.violations, [""; 0], "seed {seed}");
        }
        took_ms.sort_unstable();
        assert!(took_ms[10] <= median_ms && took_ms[19] <= most_ms, "{took_ms:?}");
    }
}

#[test]
fn a_leader_that_is_heard_of_again_goes_on_leading() {
    let mut world = World::formed(1, 3);
    world.run_ms(1_000);
    let (leader, term) = (world.leader().expect("formed"), world.nodes[&1].term);
    for _ in 0..20 {
        part(&mut world, leader, false);
        world.run_ms(300);
        assert_eq!((world.leader(), world.nodes[&1].term), (Some(leader), term));
    }
    world.run_ms(30_000);
    assert_eq!((world.leader(), world.nodes[&1].term), (Some(leader), term));
}

#[test]
fn a_voter_that_misses_the_leader_alone_disturbs_no_one() {
    let mut world = World::formed(2, 3);
    world.run_ms(1_000);
    let (leader, term) = (world.leader().expect("formed"), world.nodes[&1].term);
    let alone = world.nodes.keys().copied().find(|id| *id != leader).expect("another");
    world.cut.extend([(leader, alone), (alone, leader)]);
    for ended in [false, true, false] {
        world.input(alone, QuorumInput::Parted { voter: NodeId(leader), ended });
        world.run_ms(3_000);
    }
    assert_eq!(world.leader(), Some(leader));
    assert!(world.nodes.values().all(|node| node.term == term), "{}", world.state());
}

#[test]
fn a_cluster_at_rest_keeps_its_leader() {
    let mut world = World::formed(1, 3);
    let (leader, term) = (world.leader(), world.nodes[&1].term);
    world.run_ms(60_000);
    assert_eq!((world.leader(), world.nodes[&1].term), (leader, term));
    assert!(world.nodes.values().all(|node| node.leader == leader));
    assert!(world.now_ns > 60_000 * MS);
}

#[test]
fn a_voter_that_was_away_catches_up_by_chunks_of_a_snapshot() {
    let mut world = World::formed(2, 3);
    let leader = world.leader().expect("formed");
    let away = world.nodes.keys().copied().find(|id| *id != leader).expect("another");
    world.kill(away);
    // More than a chunk, and more entries than the log keeps.
    for _ in 0..120 {
        let proposal = world.propose_long(leader, 20_000);
        world.until("an answer", 5_000, |world| world.holds(leader, proposal));
    }
    world.largest = 0;
    world.start_all();
    world.until("the same everywhere", 10_000, World::agrees);
    let loaded = format!(" {away} ImageReplaced");
    assert!(world.told.iter().any(|told| told.contains(&loaded)));
    assert!(world.largest > 1 << 20 && world.largest < (1 << 20) + 1_000, "{}", world.largest);
    assert_eq!(world.checker.violations, [""; 0]);
}

#[test]
fn a_leader_that_stops_hands_over_first() {
    let mut world = World::formed(3, 3);
    world.run_ms(1_000);
    let leader = world.leader().expect("formed");
    world.input(leader, QuorumInput::Stop);
    world.until("the stop", 1_500, |world| world.nodes[&leader].stopped);
    world.kill(leader);
    assert!(world.until("an heir", 200, |world| world.leader().is_some()) <= 200);
}

#[test]
fn a_leader_that_no_one_can_follow_stops_all_the_same() {
    let mut world = World::formed(3, 3);
    let leader = world.leader().expect("formed");
    world.isolate(leader);
    world.input(leader, QuorumInput::Stop);
    assert!(world.until("the stop", 1_500, |world| world.nodes[&leader].stopped) >= 900);
}

#[test]
fn a_leadership_goes_over_on_request_within_milliseconds() {
    let mut world = World::formed(4, 3);
    world.run_ms(1_000);
    let leader = world.leader().expect("formed");
    world.input(leader, QuorumInput::TransferLeader);
    let other =
        |world: &World| world.leader().is_some_and(|it| it != leader) && !world.nodes[&leader].writable;
    assert!(world.until("another leader", 200, other) <= 100);
    heal(&mut world);
    assert_eq!(world.checker.violations, [""; 0]);
}

#[test]
fn the_leader_tells_how_far_each_voter_has_come() {
    let mut world = World::formed(5, 3);
    let leader = world.leader().expect("formed");
    let away = world.nodes.keys().copied().find(|id| *id != leader).expect("another");
    world.run_ms(1_000);
    world.isolate(away);
    let cut_ms = world.now().unix_ms;
    world.propose(leader);
    world.run_ms(5_000);
    let now = world.now();
    let standing = |id: i32| world.nodes[&id].quorum.as_ref().expect("it lives").standing(now);
    let told = standing(leader);
    assert_eq!(told.leader.map(|leader| leader.0), Some(leader));
    assert_eq!(told.committed_end, told.log_end);
    assert_eq!(told.voters.len(), 3);
    for voter in &told.voters {
        let is_away = voter.node.0 == away;
        assert_eq!(voter.log_end < Some(told.log_end), is_away, "{voter:?}");
        for at in [voter.last_fetch_ms, voter.last_caught_up_ms] {
            let at = at.expect("heard of");
            assert_eq!(at <= cut_ms, is_away, "{voter:?} at {}", now.unix_ms);
        }
    }
    let follower = world.nodes.keys().copied().find(|id| *id != leader && *id != away).expect("a third");
    assert_eq!(standing(follower).leader.map(|leader| leader.0), Some(leader));
    assert!(standing(follower).voters.is_empty());
}

#[test]
fn a_voter_with_a_wiped_disk_neither_votes_nor_counts() {
    let mut world = World::formed(6, 3);
    world.run_ms(1_000);
    let leader = world.leader().expect("formed");
    let others: Vec<i32> = world.nodes.keys().copied().filter(|id| *id != leader).collect();
    // What is acknowledged now is on the leader and on the one that will be wiped.
    world.isolate(others[0]);
    let proposal = world.propose(leader);
    world.until("an answer", 5_000, |world| world.checker.acknowledged() == 1);
    world.wipe(others[1]);
    world.start_all();
    world.kill(leader);
    world.cut.clear();
    world.run_ms(30_000);
    assert_eq!(world.leader(), None, "no majority remembers what was acknowledged");
    world.start_all();
    world.until("a leader", 10_000, |world| world.leader().is_some());
    let leader = world.leader().expect("found");
    assert!(world.holds(leader, proposal) && leader != others[1]);
    // It follows, but does not count: with one of the two others away, nothing is acknowledged.
    let away = if leader == others[0] { 6 - others[0] - others[1] } else { others[0] };
    world.kill(away);
    world.propose(leader);
    world.run_ms(10_000);
    assert_eq!(world.checker.acknowledged(), 1);
    assert_eq!(world.checker.violations, [""; 0]);
}

#[test]
fn a_voter_that_comes_late_to_a_new_cluster_is_recorded_and_counts() {
    let mut world = World::new(7, 3);
    for id in [1, 2] {
        let settings = world.settings(id);
        world.start_with(id, settings);
    }
    world.until("a leader", 10_000, |world| world.leader().is_some());
    world.run_ms(20_000);
    world.start_all();
    world.run_ms(2_000);
    let leader = world.leader().expect("still");
    world.kill(3 - leader);
    let proposal = world.propose(leader);
    world.until("an answer", 5_000, |world| world.checker.acknowledged() == 1);
    world.until("it", 5_000, |world| world.holds(3, proposal));
}

#[test]
fn one_voter_of_three_alone_forms_nothing() {
    let mut world = World::new(8, 3);
    let settings = world.settings(1);
    world.start_with(1, settings);
    world.run_ms(30_000);
    assert_eq!(world.leader(), None);
    assert_eq!(world.nodes[&1].image.last_applied(), None);
}

#[test]
fn a_node_of_another_cluster_or_configuration_is_not_heard() {
    let changed: [fn(&mut corelane_raft_meta::QuorumSettings); 2] = [
        |settings| settings.cluster_id = Some("another".to_owned()),
        |settings| settings.voters[0].0 = corelane_core::ids::NodeId(9),
    ];
    for change in changed {
        let mut world = World::new(9, 3);
        for id in [1, 2, 3] {
            let mut settings = world.settings(id);
            if id == 3 {
                change(&mut settings);
            }
            world.start_with(id, settings);
        }
        world.until("a leader", 10_000, |world| world.leader().is_some());
        let leader = world.leader().expect("found");
        let proposal = world.propose(leader);
        world.run_ms(10_000);
        assert!(leader != 3 && world.holds(leader, proposal));
        assert!(!world.holds(3, proposal) && world.nodes[&3].term <= world.nodes[&leader].term);
        world.kill(3 - leader);
        world.propose(leader);
        world.run_ms(10_000);
        assert_eq!(world.checker.acknowledged(), 1, "the third one's word does not count");
    }
}

#[test]
fn whatever_is_called_is_answered() {
    let mut world = World::formed(10, 3);
    let junk = [vec![], vec![0; 10], vec![1; 3_000], vec![1; corelane_raft_meta::CALL_BYTES_MAX + 1]];
    for from in [2, 3, 77, -1] {
        for body in &junk {
            world.strange_call(from, 1, body.clone().into());
        }
    }
    world.run_ms(100);
    assert_eq!(world.strange_answers, 16);
    world.kill(2);
    world.input(1, QuorumInput::Stop);
    world.run_ms(3_000);
    assert!(world.nodes[&1].stopped);
    world.strange_call(2, 1, vec![1].into());
    assert_eq!(world.strange_answers, 17, "also after the end");
    assert_eq!(world.nodes[&1].fatal, None);
}

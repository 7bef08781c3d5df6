//! Nodes without a vote: each sees exactly what was committed, in order, whatever happens to it and to the controllers.

use crate::{
    HEALS_WITHIN_MS, STORM, mishap,
    support::MemoryDisk,
    world::{Watching, Weather, World},
};
use corelane_core::{engine::VoterStanding, ids::NodeId, metadata::Image};
use corelane_raft_meta::{Observer, ObserverSettings, QuorumInput};
use std::path::PathBuf;

/// Milliseconds in which an observer learns what a controller that it can reach knows: a pull that is never answered,
/// and the pause after it.
const LEARNS_WITHIN_MS: u64 = 10_000;

/// Ids of observers begin here.
const FIRST: i32 = 101;

fn settings(world: &World, id: i32) -> ObserverSettings {
    let endpoint = |voter: &i32| format!("node-{voter}:9093");
    // Even ones know the voters, odd ones only endpoints.
    let named = id % 2 == 0;
    let voters = world.nodes.keys().map(|voter| (NodeId(*voter), endpoint(voter)));
    ObserverSettings {
        node_id: NodeId(id),
        voters: voters.filter(|_| named).collect(),
        bootstrap: world.nodes.keys().map(endpoint).filter(|_| !named).collect(),
        directory: PathBuf::from("/quorum"),
        cluster_id: Some("cluster".to_owned()),
        new_directory_id: 500 + u128::from(id.unsigned_abs()),
    }
}

fn start(world: &mut World, id: i32) {
    let settings = settings(world, id);
    let fresh = Watching {
        observer: None,
        disk: MemoryDisk::default(),
        image: Image::new(),
        leader: None,
        fatal: None,
        replaced: 0,
        life: 0,
    };
    let watching = world.observers.entry(id).or_insert(fresh);
    if watching.observer.is_some() {
        return;
    }
    watching.observer = Some(Observer::open(settings, &watching.disk).expect("opens"));
    watching.life += 1;
    watching.image = Image::new();
    watching.leader = None;
    world.checker.started(id);
    world.poll(id);
}

/// Its process is gone.
fn kill(world: &mut World, id: i32) {
    world.observers.get_mut(&id).expect("an observer").observer = None;
}

fn watched(seed: u64, count: i32, observers: i32) -> World {
    let mut world = World::new(seed, count);
    world.start_all();
    (FIRST..FIRST + observers).for_each(|id| start(&mut world, id));
    world
}

fn know_all(world: &World) -> bool {
    let Some(leader) = world.leader() else { return false };
    let image = &world.nodes[&leader].image;
    world.observers.values().all(|it| it.image == *image && it.leader == Some(leader))
}

fn survives(seed: u64, count: i32) -> (World, usize) {
    let mut world = watched(seed, count, 3);
    let mut snapshots = 0;
    for _ in 0..120 {
        let pause = 1 + world.random.below(250) as u64;
        if let Some(to) = world.leader() {
            for _ in 0..world.random.below(4) {
                world.propose(to);
            }
        }
        world.run_ms(pause);
        mishap(&mut world, count);
        let id = FIRST + i32::try_from(world.random.below(3)).expect("small");
        match world.random.below(8) {
            0 => {
                snapshots += std::mem::take(&mut world.observers.get_mut(&id).expect("known").replaced);
                kill(&mut world, id);
            }
            1 | 2 => (FIRST..FIRST + 3).for_each(|id| start(&mut world, id)),
            3 => {
                let voter =
                    1 + i32::try_from(world.random.below(count.unsigned_abs() as usize)).expect("small");
                let way = if world.random.below(2) == 0 { (id, voter) } else { (voter, id) };
                world.cut.insert(way);
            }
            _ => {}
        }
        assert_eq!(world.checker.violations, [""; 0], "seed {seed}");
    }
    crate::heal(&mut world);
    (FIRST..FIRST + 3).for_each(|id| start(&mut world, id));
    world.until("what all know", LEARNS_WITHIN_MS, know_all);
    let fatal: Vec<_> = world.observers.values().filter_map(|it| it.fatal.clone()).collect();
    assert_eq!((world.checker.violations.clone(), fatal), (Vec::new(), Vec::new()), "seed {seed}");
    snapshots += world.observers.values().map(|it| it.replaced).sum::<usize>();
    (world, snapshots)
}

#[test]
fn observers_see_exactly_what_was_committed_whatever_happens() {
    let runs: Vec<_> = (400..416).map(|seed| survives(seed, 3)).collect();
    let acknowledged: usize = runs.iter().map(|(world, _)| world.checker.acknowledged()).sum();
    let snapshots: usize = runs.iter().map(|(_, snapshots)| snapshots).sum();
    assert!(acknowledged > 400 && snapshots > 20, "{acknowledged} proposals, {snapshots} snapshots");
}

#[test]
fn the_same_seed_gives_the_same_run_with_observers() {
    let run = |seed| {
        let (world, snapshots) = survives(seed, 3);
        (world.trace(), world.now_ns, world.calls, snapshots, world.told)
    };
    assert_eq!(run(420), run(420));
}

#[test]
fn an_observer_hears_of_a_batch_at_once_and_of_a_new_leader_from_others() {
    let mut world = watched(1, 3, 2);
    world.until("a leader", HEALS_WITHIN_MS, |world| world.leader().is_some());
    world.until("what all know", LEARNS_WITHIN_MS, know_all);
    let leader = world.leader().expect("led");
    let proposal = world.propose(leader);
    world.until("the batch at the leader", 100, |world| world.holds(leader, proposal));
    // A pull waits at the leader: one message.
    let took_ms = world.until("the batch at the observers", 1_000, know_all);
    assert!(took_ms <= 10, "{took_ms} ms");
    world.kill(leader);
    world.until("another leader", HEALS_WITHIN_MS, |world| world.leader().is_some());
    let proposal = world.propose(world.leader().expect("led"));
    world.until("the batch", LEARNS_WITHIN_MS, |world| {
        world.leader().is_some_and(|leader| world.holds(leader, proposal)) && know_all(world)
    });
    assert_eq!(world.checker.violations, [""; 0]);
}

#[test]
fn an_observer_that_was_away_for_long_reads_a_snapshot_in_pieces() {
    let mut world = watched(2, 3, 1);
    world.until("a leader", HEALS_WITHIN_MS, |world| world.leader().is_some());
    kill(&mut world, FIRST);
    for _ in 0..150 {
        let leader = world.leader().expect("led");
        let proposal = world.propose_long(leader, 40_000);
        world.until("the batch", 5_000, |world| world.holds(leader, proposal));
    }
    world.weather = STORM;
    start(&mut world, FIRST);
    let calls = world.calls;
    world.until("what all know", 60_000, know_all);
    // Six million bytes, of which a piece has one at most.
    assert!(world.calls - calls >= 6, "{} calls", world.calls - calls);
    assert!(world.observers[&FIRST].replaced > 0);
    assert!(world.largest <= corelane_raft_meta::CALL_BYTES_MAX);
    assert_eq!(world.checker.violations, [""; 0]);
}

fn standing(world: &World) -> Vec<VoterStanding> {
    let leader = world.nodes[&world.leader().expect("led")].quorum.as_ref().expect("lives");
    leader.standing(world.now()).observers
}

#[test]
fn the_leader_knows_how_far_observers_are_and_forgets_who_asks_no_more() {
    let mut world = watched(3, 3, 2);
    world.until("a leader", HEALS_WITHIN_MS, |world| world.leader().is_some());
    world.until("what all know", LEARNS_WITHIN_MS, know_all);
    world.run_ms(2_000);
    let leader = world.leader().expect("led");
    let told = standing(&world);
    let log_end = world.nodes[&leader].quorum.as_ref().expect("lives").standing(world.now()).log_end;
    assert_eq!(told.iter().map(|it| it.node.0).collect::<Vec<_>>(), [FIRST, FIRST + 1]);
    for observer in &told {
        assert_eq!(observer.directory, Some(500 + u128::from(observer.node.0.unsigned_abs())));
        assert_eq!(observer.log_end, Some(log_end));
        let age_ms = world.now().unix_ms - observer.last_fetch_ms.expect("it asked");
        assert!(age_ms <= 600 && observer.last_caught_up_ms == observer.last_fetch_ms, "{observer:?}");
    }
    world.nodes.values().for_each(|node| {
        let quorum = node.quorum.as_ref().expect("lives");
        assert!(node.writable || quorum.standing(world.now()).observers.is_empty(), "only a leader tells");
    });

    kill(&mut world, FIRST);
    let proposal = world.propose(leader);
    world.until("the batch", 5_000, |world| world.holds(leader, proposal));
    world.run_ms(1_000);
    let behind = standing(&world)[0];
    assert!(behind.log_end < standing(&world)[1].log_end, "{behind:?}");
    assert_eq!(behind.last_fetch_ms.map(|at| at + 400 < world.now().unix_ms), Some(true));
    world.run_ms(300_000);
    assert_eq!(standing(&world).iter().map(|it| it.node.0).collect::<Vec<_>>(), [FIRST + 1]);
}

#[test]
fn an_observer_of_another_cluster_is_told_nothing() {
    let mut world = watched(4, 3, 1);
    world.until("a leader", HEALS_WITHIN_MS, |world| world.leader().is_some());
    world.until("what all know", LEARNS_WITHIN_MS, know_all);
    let stranger = ObserverSettings { cluster_id: Some("other".to_owned()), ..settings(&world, FIRST + 1) };
    let disk = MemoryDisk::default();
    let observer = Some(Observer::open(stranger, &disk).expect("opens"));
    let (image, leader) = (Image::new(), None);
    let watching = Watching { observer, disk, image, leader, fatal: None, replaced: 0, life: 1 };
    world.observers.insert(FIRST + 1, watching);
    world.poll(FIRST + 1);
    world.run_ms(10_000);
    let stranger = &world.observers[&(FIRST + 1)];
    assert_eq!((&stranger.image, stranger.leader, &stranger.fatal), (&Image::new(), None, &None));
    assert_eq!(standing(&world).len(), 1);
}

#[test]
fn an_observer_stops_when_the_controllers_have_another_history() {
    let mut world = watched(5, 1, 1);
    world.until("a leader", HEALS_WITHIN_MS, |world| world.leader().is_some());
    for _ in 0..20 {
        world.propose(1);
        world.run_ms(100);
    }
    world.until("what all know", LEARNS_WITHIN_MS, know_all);
    let known = world.observers[&FIRST].image.clone();
    // All disks are lost, and the cluster begins anew.
    world.wipe(1);
    world.checker = crate::checker::Checker::default();
    world.start_all();
    world.until("the end", LEARNS_WITHIN_MS, |world| world.observers[&FIRST].fatal.is_some());
    let watching = &world.observers[&FIRST];
    assert_eq!(watching.image, known);
    assert!(
        watching.fatal.as_ref().is_some_and(|text| text.contains("another history")),
        "{:?}",
        watching.fatal
    );
    // Started again, it follows what there is.
    kill(&mut world, FIRST);
    start(&mut world, FIRST);
    world.until("what all know", LEARNS_WITHIN_MS, know_all);
}

#[test]
fn who_observes_leads_nothing_and_bears_whatever_it_is_told() {
    let mut world = watched(6, 3, 1);
    world.weather = Weather::default();
    world.until("a leader", HEALS_WITHIN_MS, |world| world.leader().is_some());
    world.input(FIRST, QuorumInput::Parted { voter: NodeId(1), ended: true });
    world.input(FIRST, QuorumInput::TransferLeader);
    let body: Vec<u8> = (0..=255).collect();
    for len in 0..body.len() {
        let id = 1 + len as u64;
        let result = Ok(bytes::Bytes::copy_from_slice(&body[..len]));
        world.input(FIRST, QuorumInput::Answered { id, result });
        let voter = 1 + i32::try_from(len % 3).expect("small");
        let mut pull = body[..len].to_vec();
        pull.insert(0, 129);
        world.strange_call(FIRST, voter, pull.into());
    }
    world.until("what all know", 60_000, know_all);
    assert_eq!(world.checker.violations, [""; 0]);
}

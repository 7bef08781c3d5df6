//! What only a look into the brokers shows: who leads in which epoch, whether watermarks go back, whether all replicas are
//! in sync, and whether they are equal.

use super::{Broken, Cluster, Run};
use crate::world::{ProcessId, SimDisk, World};
use corelane_core::{
    engine::ReplicaView,
    ids::{LeaderEpoch, NodeId, Offset, PartitionId},
    log::{ReadError, Slot},
    metadata::{Image, PartitionImage},
    records::{Batch, BatchHeader, Batches, DecodedBatch, Scratch},
};
use corelane_seam::{Part, ShardId};
use corelane_shard::Node;
use std::collections::BTreeMap;

/// How often a file may have to be opened for one replica.
const LOOKS_MAX: u32 = 10_000;

/// How long a look waits for a file, in ns.
const FILE_NS: u64 = 50_000_000;

/// What was seen of the replicas so far, of each process in each of its lives.
#[derive(Debug, Default)]
pub(super) struct Watch {
    leaders: BTreeMap<(PartitionId, LeaderEpoch), (ProcessId, u32)>,
    controllers: BTreeMap<u64, (ProcessId, u32)>,
    high_watermarks: BTreeMap<(PartitionId, ProcessId, u32, Slot), Offset>,
    /// The first promise that was broken, and how.
    pub broken: Option<(&'static str, String)>,
}

impl Watch {
    /// Looks at a shard of a process in its `life`th life.
    pub fn look(&mut self, process: ProcessId, life: u32, node: &Node) {
        let shard = match node {
            Node::Data(shard) => shard,
            Node::Quorum(shard) => return self.one_controller_per_term(process, life, shard.leads()),
            Node::Broken(_) => return,
        };
        for view in shard.engine().replicas() {
            let broken = self.one_leader_per_epoch(process, life, view).and_then(|()| {
                let known = self.high_watermarks.entry((view.id, process, life, view.log)).or_default();
                let before = std::mem::replace(known, view.high_watermark);
                let text = || format!("{} on {process}: from {before} to {}", view.id, view.high_watermark);
                // A follower without records begins where it is told to, also once more and earlier.
                let knows_nothing = view.leads.is_none() && view.log_start == view.log_end;
                if view.high_watermark < before && !knows_nothing {
                    Err(("watermark_monotonic", text()))
                } else {
                    Ok(())
                }
            });
            if let Err(broken) = broken {
                self.broken.get_or_insert(broken);
            }
        }
    }

    fn one_controller_per_term(&mut self, process: ProcessId, life: u32, leads: Option<u64>) {
        let Some(term) = leads else { return };
        let (other, in_life) = *self.controllers.entry(term).or_insert((process, life));
        if (other, in_life) != (process, life) {
            let text = format!(
                "the quorum was led in term {term} by {other} in its life {in_life}, and by {process} in its life {life}"
            );
            self.broken.get_or_insert(("one_controller_per_term", text));
        }
    }

    /// A life that has led in an epoch may lead in it on.
    fn one_leader_per_epoch(
        &mut self,
        process: ProcessId,
        life: u32,
        view: ReplicaView,
    ) -> Result<(), (&'static str, String)> {
        let Some(epoch) = view.leads else { return Ok(()) };
        let (other, in_life) = *self.leaders.entry((view.id, epoch)).or_insert((process, life));
        if (other, in_life) == (process, life) {
            return Ok(());
        }
        let text = format!(
            "{} was led in epoch {epoch} by {other} in its life {in_life}, and by {process} in its life {life}",
            view.id
        );
        Err(("one_leader_per_epoch", text))
    }
}

/// A replica and where it is.
#[derive(Clone, Copy, Debug)]
struct Held {
    process: ProcessId,
    shard: ShardId,
    view: ReplicaView,
}

/// What stands in a replica: whole batches by their base offsets, or, where each replica is compacted in its own time,
/// records by their offsets.
type Contents = BTreeMap<Offset, Vec<u8>>;

/// All replicas of all brokers that are up.
fn replicas(world: &World<Node>) -> BTreeMap<PartitionId, Vec<Held>> {
    let mut all: BTreeMap<PartitionId, Vec<Held>> = BTreeMap::new();
    for (process, shard, node) in world.shards() {
        let Node::Data(data) = node else { continue };
        for view in data.engine().replicas() {
            all.entry(view.id).or_default().push(Held { process, shard, view });
        }
    }
    all
}

/// Who leads a partition, and how many replicas are in sync with it.
#[cfg(test)]
pub(super) fn leader(world: &World<Node>, id: PartitionId) -> Option<(ProcessId, usize)> {
    let held = replicas(world).remove(&id)?;
    let leads = held.iter().filter(|it| it.view.leads.is_some());
    // One that nobody hears may not know yet that it leads no more.
    let latest = leads.max_by_key(|it| it.view.leads)?;
    Some((latest.process, latest.view.in_sync))
}

/// In words, for whoever reads a failure.
pub(super) fn describe(world: &World<Node>) -> Vec<String> {
    let all = replicas(world);
    let line = |held: &Held| {
        let ReplicaView {
            id, leads, in_sync, log_start, high_watermark, flushed_end, log_end, offline, ..
        } = held.view;
        let led = |epoch| format!(", leads {in_sync} in sync in epoch {epoch}");
        let leads = leads.map_or(String::new(), led);
        let offline = if offline { ", offline" } else { "" };
        format!(
            "{id} on {}: {log_start} to {log_end}, flushed to {flushed_end}, committed to {high_watermark}{leads}{offline}",
            held.process
        )
    };
    all.values().flatten().map(line).collect()
}

/// The metadata as the controller has it.
fn metadata(world: &World<Node>) -> Option<&Image> {
    let controllers = world.shards().filter_map(|(_, _, node)| match node {
        Node::Quorum(shard) => Some((shard.leads()?, shard.image())),
        Node::Data(_) | Node::Broken(_) => None,
    });
    // One that nobody hears may not know yet that it leads no more.
    controllers.max_by_key(|(term, _)| *term).map(|(_, image)| image)
}

fn partitions_of(image: &Image) -> BTreeMap<PartitionId, &PartitionImage> {
    let mut all = BTreeMap::new();
    for topic in image.topics() {
        let of = topic.partitions.iter();
        all.extend(of.map(|(index, it)| (PartitionId { topic: topic.id, index: *index }, it.as_ref())));
    }
    all
}

fn is_moving(partition: &PartitionImage) -> bool {
    !(partition.adding.is_empty() && partition.removing.is_empty())
}

impl Run {
    /// The first broker that does not know the latest metadata yet, or partition that is not well. A broker that lost its
    /// disk does not count.
    pub(super) fn unwell(&self) -> Option<String> {
        let Some(image) = metadata(&self.world) else { return Some("there is no controller".to_owned()) };
        let (held, partitions) = (replicas(&self.world), partitions_of(image));
        let unknown = held.keys().find(|id| !partitions.contains_key(id));
        let unknown = unknown.map(|id| format!("{id}: it was deleted, and a replica is left"));
        let complain = |(id, partition): (&PartitionId, &&PartitionImage)| {
            let held = held.get(id).map_or(&[][..], Vec::as_slice);
            self.complaint(*id, partition, held).map(|why| format!("{id}: {why}"))
        };
        let is_behind = |process: ProcessId, node: &Node| match node {
            Node::Quorum(shard) => {
                shard.image().last_applied() < image.last_applied()
                    && self.emptied != Some(self.index_of(process))
            }
            Node::Data(_) | Node::Broken(_) => false,
        };
        let mut behind = self.world.shards().filter(|(process, _, node)| is_behind(*process, node));
        let behind =
            behind.next().map(|(process, ..)| format!("{process} does not know the latest metadata"));
        partitions.iter().find_map(complain).or(unknown).or(behind)
    }

    /// What keeps a partition from being well: that its replicas are where they were asked to be and nowhere else, one
    /// broker leads it, all are in sync, and all know that everything is committed and where the log starts.
    fn complaint(&self, id: PartitionId, partition: &PartitionImage, held: &[Held]) -> Option<String> {
        // It may be taken in again, as a broker and not as a voter: then it has to be well, like every other.
        let is_back = |index: usize| held.iter().any(|it| self.index_of(it.process) == index);
        let gone = self.emptied.filter(|index| !is_back(*index)).map(|index| NodeId(Cluster::node(index)));
        let of = |nodes: &[NodeId]| {
            let mut places: Vec<usize> = nodes
                .iter()
                .filter(|node| Some(**node) != gone)
                .map(|node| usize::try_from(node.0 - Cluster::node(0)).expect("brokers count from the first"))
                .collect();
            places.sort_unstable();
            places
        };
        // What a broker is to get that is not coming back, it never gets.
        let is_stuck = gone.is_some_and(|gone| partition.adding.contains(&gone));
        if is_moving(partition) && !is_stuck {
            let (adding, removing) = (&partition.adding, &partition.removing);
            return Some(format!("it is being moved, to {adding:?} and from {removing:?}"));
        }
        let wanted = of(&partition.replicas);
        let has: Vec<usize> = held.iter().map(|it| self.index_of(it.process)).collect();
        if has != wanted {
            return Some(format!("replicas are at {has:?} and should be at {wanted:?}"));
        }
        let mut leaders = held.iter().filter(|it| it.view.leads.is_some());
        let (Some(leader), None) = (leaders.next(), leaders.next()) else {
            return Some("not one leader".to_owned());
        };
        if leader.view.in_sync != wanted.len() || of(&partition.isr) != wanted {
            return Some("not all are in sync".to_owned());
        }
        let end = leader.view.log_end;
        if !held.iter().all(|it| it.view.log_end == end && it.view.high_watermark == end) {
            return Some("not all is committed and known to be".to_owned());
        }
        let start = leader.view.log_start;
        let deleted = self.catalog.deleted_below(id);
        if held.iter().any(|it| it.view.log_start < deleted) {
            return Some(format!("records are back that were deleted below {deleted}"));
        }
        let starts_alike = held.iter().all(|it| it.view.log_start == start);
        // Retention goes its own way on each, and a deletion of which nobody was told may have come to some.
        let may_differ = self.is_maybe_passing(id) || self.catalog.is_maybe_deleted(id);
        (!starts_alike && !may_differ).then(|| "the logs do not start alike".to_owned())
    }

    /// Whether every replica that was asked for is there, and every leader says that all of them are in sync, so that one
    /// may be lost and enough are left. Not before all brokers know of the same partitions, and there are some: until the
    /// voters of the quorum know each other's directories, which come before those, two that do not know each other take a
    /// third one that lost its disk for new.
    pub(super) fn all_are_in_sync(&self) -> bool {
        let Some(image) = metadata(&self.world) else { return false };
        let (held, partitions) = (replicas(&self.world), partitions_of(image));
        let is_safe = |id: &PartitionId, partition: &PartitionImage| {
            let count = partition.replicas.len();
            let leads = |it: &Held| it.view.leads.is_some() && it.view.in_sync == count;
            let is_led = held.get(id).is_some_and(|held| held.len() == count && held.iter().any(leads));
            !is_moving(partition) && partition.isr.len() == count && count > 2 && is_led
        };
        let knows_all = |node: &Node| match node {
            Node::Quorum(shard) => partitions_of(shard.image()).keys().eq(partitions.keys()),
            Node::Data(_) | Node::Broken(_) => true,
        };
        !partitions.is_empty()
            && partitions.iter().all(|(id, partition)| is_safe(id, partition))
            && self.world.shards().all(|(_, _, node)| knows_all(node))
    }

    /// Replicas are equal below what each of them knows to be committed, but that each is compacted in its own time.
    pub(super) fn compare_replicas(&mut self) -> Result<(), Broken> {
        for (id, held) in replicas(&self.world) {
            let compacted = self.is_maybe_compacted(id);
            let mut known: BTreeMap<Offset, (ProcessId, Vec<u8>)> = BTreeMap::new();
            let start = held.iter().map(|it| it.view.log_start).max().unwrap_or_default();
            let end = held.iter().map(|it| it.view.high_watermark).min().unwrap_or_default();
            for replica in held.iter().filter(|replica| !replica.view.offline) {
                let Some((from, contents)) = self.contents(replica, start, compacted)? else { continue };
                // What retention has taken since is not missing.
                let missing =
                    known.range(from..end.max(from)).find(|(offset, _)| !contents.contains_key(offset));
                if let Some((offset, (other, has))) = missing.filter(|_| !compacted) {
                    return Err(unequal(id, *offset, (*other, has), (replica.process, &[])));
                }
                for (offset, has) in contents {
                    let (other, first) =
                        known.entry(offset).or_insert_with(|| (replica.process, has.clone()));
                    if *first != has {
                        return Err(unequal(id, offset, (*other, first), (replica.process, &has)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether retention may move the start of a log, here and there in its own time.
    fn is_maybe_passing(&self, id: PartitionId) -> bool {
        let mut topics = self.catalog.topics();
        topics
            .find(|(topic, _)| *topic == id.topic)
            .is_none_or(|(_, known)| self.catalog.is_passing(&known.name))
    }

    /// Whether compaction may take records of a partition. Topics that clients do not know are the brokers' own.
    fn is_maybe_compacted(&self, id: PartitionId) -> bool {
        let mut topics = self.catalog.topics();
        topics
            .find(|(topic, _)| *topic == id.topic)
            .is_none_or(|(_, known)| self.catalog.is_compacted(&known.name))
    }

    /// What a replica has between `start` and what it knows to be committed, and from where on: `start`, or where the log
    /// starts by now. Nothing if it is not there any more.
    fn contents(
        &mut self,
        replica: &Held,
        start: Offset,
        compacted: bool,
    ) -> Result<Option<(Offset, Contents)>, Broken> {
        let ReplicaView { id, high_watermark, .. } = replica.view;
        let (mut begin, mut from, mut looks) = (start, start, 0);
        let mut contents = Contents::new();
        while from < high_watermark {
            looks += 1;
            let fail = |text: String| Broken { promise: "replicas_are_equal", text };
            if looks > LOOKS_MAX {
                return Err(fail(format!("{id} on {} cannot be read at {from}", replica.process)));
            }
            let mut read = None;
            self.world.call_into(replica.process, replica.shard, |node, now, out| {
                if let Node::Data(data) = node {
                    read = Some(data.read_replica(now, id, from, out));
                }
            });
            let parts = match read {
                Some(Ok(parts)) => parts,
                Some(Err(ReadError::Later)) => {
                    self.pause(FILE_NS)?;
                    continue;
                }
                // Retention goes on.
                Some(Err(ReadError::OutOfRange { start, .. })) if start > from => {
                    (begin, from) = (start, start);
                    contents.clear();
                    continue;
                }
                // It crashed, or the topic was deleted.
                Some(Err(ReadError::Unknown)) | None => return Ok(None),
                Some(Err(error)) => {
                    return Err(fail(format!("{id} on {} at {from}: {error:?}", replica.process)));
                }
            };
            let bytes = bytes_of(&parts).map_err(fail)?;
            let before = from;
            for batch in Batches::new(&bytes).map_while(Result::ok) {
                let header = batch.header();
                if header.last_offset() < from {
                    continue;
                }
                from = header.next_offset();
                if from > high_watermark || header.base_offset() < start {
                    continue;
                }
                if compacted {
                    contents.extend(records(batch).map_err(fail)?);
                } else {
                    contents.insert(header.base_offset(), batch.bytes().to_vec());
                }
            }
            if from == before {
                let text = format!(
                    "{id} on {}: a read at {before} of {high_watermark} gave nothing",
                    replica.process
                );
                return Err(fail(text));
            }
        }
        Ok(Some((begin, contents)))
    }
}

fn bytes_of(parts: &[Part]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Bytes(some) => bytes.extend_from_slice(some),
            Part::Memory(some) => bytes.extend_from_slice(some),
            Part::File { file, offset, len } => {
                let len = usize::try_from(*len).map_err(|_| "a part beyond memory")?;
                let some = SimDisk::read_for_send(file, *offset, len).ok_or("a file of another driver")?;
                bytes.extend_from_slice(&some);
            }
        }
    }
    Ok(bytes)
}

/// The records of a batch by their offsets: key, value and headers.
fn records(batch: Batch<'_>) -> Result<Contents, String> {
    let mut scratch = Scratch::default();
    let decoded = DecodedBatch::new(batch, &mut scratch).map_err(|fault| fault.to_string())?;
    let read = decoded.records().map(|record| {
        let record = record.map_err(|fault| fault.to_string())?;
        let headers: Vec<_> = { record.headers }.collect();
        let mut told = Vec::new();
        for part in [record.key, record.value] {
            told.extend_from_slice(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            told.extend_from_slice(part.unwrap_or_default());
        }
        if !headers.is_empty() {
            told.extend_from_slice(format!("{headers:?}").as_bytes());
        }
        Ok((record.offset, told))
    });
    read.collect()
}

fn unequal(id: PartitionId, offset: Offset, one: (ProcessId, &[u8]), two: (ProcessId, &[u8])) -> Broken {
    let told = |(process, has): (ProcessId, &[u8])| {
        let header = BatchHeader::view(has);
        let epoch = header.map_or(LeaderEpoch::UNKNOWN, BatchHeader::leader_epoch);
        format!("{process} has {} bytes of epoch {epoch}", has.len())
    };
    let text = format!("{id} at {offset}: {}, {}", told(one), told(two));
    Broken { promise: "replicas_are_equal", text }
}

//! A scripted responder in the broker's place.

use super::*;
use crate::{
    client::{
        answer::Topic,
        history::{Acks, Event, RecordId},
        record::{self, By},
        request::{Batch, Spec},
    },
    world::{Accepting, Boot, Listener, Notice, Settings},
};
use corelane_core::{
    error::ErrorCode,
    ids::{Offset, PartitionId, TopicId},
    records::Codec,
    wire::{RequestHeader, decode_request, encode_response},
};
use corelane_seam::{Completion, Now, Operation, Part};
use kafka_protocol::messages::{
    ApiVersionsResponse, ProduceRequest, ProduceResponse,
    produce_response::{PartitionProduceResponse, TopicProduceResponse},
};

const PARTITION: PartitionId = PartitionId { topic: TopicId::ZERO, index: 2 };

/// How the responder treats its clients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    Silent,
    Hangs,
    Babbles,
}

struct Responder {
    manner: Manner,
    inbound: BytesMut,
}

impl Responder {
    fn answer(&self, frame: &Bytes) -> Bytes {
        let header = RequestHeader::parse(frame).expect("a request");
        let (id, version) = (header.correlation_id, header.api_version);
        if header.api_key == 18 {
            return encode_response(id, version, &ApiVersionsResponse::default()).expect("encodes");
        }
        let request: ProduceRequest = decode_request(&header, frame).expect("a produce request");
        let partition = PartitionProduceResponse::default().with_index(PARTITION.index).with_base_offset(40);
        let topic = TopicProduceResponse::default()
            .with_name(request.topic_data[0].name.clone())
            .with_partition_responses(vec![partition]);
        let response = ProduceResponse::default().with_responses(vec![topic]);
        encode_response(id, version, &response).expect("encodes")
    }
}

impl Shard for Responder {
    type Message = ();

    fn start(&mut self, _: Now, _: &mut Vec<Operation<()>>) {}

    fn complete(&mut self, _: Now, completion: Completion<()>, out: &mut Vec<Operation<()>>) {
        let receive = |connection| Operation::Receive { connection, buffer: BytesMut::with_capacity(4096) };
        match completion {
            Completion::Accepted { connection, .. } => out.push(receive(connection)),
            Completion::Received { connection, .. } if self.manner == Manner::Hangs => {
                out.push(Operation::Close { connection });
            }
            Completion::Received { connection, buffer, .. } => {
                self.inbound.extend_from_slice(&buffer);
                let mut answers = BytesMut::new();
                while let Some(prefix) = self.inbound.first_chunk().copied() {
                    let len = usize::try_from(u32::from_be_bytes(prefix)).expect("small");
                    if self.inbound.len() < 4 + len {
                        break;
                    }
                    self.inbound.advance(4);
                    let frame = self.inbound.split_to(len).freeze();
                    match self.manner {
                        Manner::Answers => answers.extend_from_slice(&self.answer(&frame)),
                        Manner::Babbles => answers.extend_from_slice(&[0, 0, 0, 1, 7]),
                        Manner::Silent | Manner::Hangs => {}
                    }
                }
                if answers.is_empty() {
                    out.push(receive(connection));
                } else {
                    out.push(Operation::Send { connection, parts: vec![Part::Bytes(answers.freeze())] });
                }
            }
            Completion::Sent { connection } => out.push(receive(connection)),
            Completion::Connected { .. }
            | Completion::Closed { .. }
            | Completion::File { .. }
            | Completion::Message { .. }
            | Completion::Timer
            | Completion::Stop => {}
        }
    }

    fn end_of_turn(&mut self, _: Now, _: &mut Vec<Operation<()>>) {}

    fn busy_with(&self) -> String {
        "answering".to_owned()
    }
}

struct Scene {
    world: World<Responder>,
    client: Client,
    history: History,
    routes: Routes,
}

fn scene(seed: u64, manner: Manner) -> Scene {
    scene_of(seed, &[manner])
}

/// Of brokers with node ids from 1 on.
fn scene_of(seed: u64, manners: &[Manner]) -> Scene {
    let mut rng = Rng::new(seed);
    let settings = Settings::draw(&mut rng);
    let client_rng = rng.fork("client");
    let mut world: World<Responder> = World::new(rng, settings);
    let known: Vec<KnownBroker> = (1..)
        .zip(manners)
        .map(|(node, manner)| {
            let manner = *manner;
            let listeners = vec![Listener { port: 9092, accepting: Accepting::DataShards }];
            let factory = move |_: &Boot| Ok(vec![Responder { manner, inbound: BytesMut::new() }]);
            let process = world.add_process(&format!("broker-{node}"), listeners, Box::new(factory));
            world.start(process, 1);
            KnownBroker { node, process }
        })
        .collect();
    let client = Client::new(9, &known, client_rng);
    Scene { world, client, history: History::default(), routes: Routes::new(manners.len()) }
}

impl Scene {
    fn ask(&mut self, request: Request) {
        self.client.ask(&mut self.world, &mut self.history, &self.routes, request, 0);
    }

    /// Until the client waits for nothing.
    fn ended(&mut self) -> Result<Vec<Ended>, String> {
        let mut ended = Vec::new();
        while !self.client.is_idle() {
            let notice = self.world.advance().map_err(|failure| failure.0)?.ok_or("nothing happens")?;
            match notice {
                Notice::Wake(9) => {
                    ended.extend(self.client.wake(&mut self.world, &mut self.history, &self.routes))
                }
                Notice::Received(id, bytes) => {
                    ended.extend(self.client.received(&mut self.history, id, &bytes)?);
                }
                Notice::Refused(id) | Notice::Closed(id) if self.client.holds(id) => {
                    ended.extend(self.client.closed(&mut self.world, id));
                }
                _ => {}
            }
        }
        Ok(ended)
    }
}

fn produce(records: &[RecordId], acks: Acks) -> Request {
    let batch = Batch {
        partition: PARTITION,
        topic: "t".into(),
        records: records.to_vec(),
        bytes: record::batch(records, 10, Codec::None, 1, By::Anyone, false),
        producer: None,
    };
    Request::Produce { acks, by_id: false, batches: vec![batch], transaction: None }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_noted() {
    for seed in 0..20 {
        let mut scene = scene(seed, Manner::Answers);
        // The process may not serve yet: a refused connection loses nothing that was not sent.
        scene.world.advance().expect("no failure");
        scene.ask(Request::ApiVersions);
        scene.ask(produce(&[RecordId(7), RecordId(8)], Acks::All));
        let ended = scene.ended().expect("answers");
        assert_eq!(ended[0].outcome, Outcome::Answered(Answer::ApiVersions(ErrorCode::None)));
        let acknowledged: Vec<Event> =
            scene.history.events().map(|(_, event)| event.clone()).skip(2).collect();
        let (partition, acks) = (PARTITION, Acks::All);
        assert_eq!(
            acknowledged,
            [(7, 40), (8, 41)].map(|(record, offset)| Event::Acknowledged {
                record: RecordId(record),
                partition,
                acks,
                offset: Offset(offset),
            })
        );
    }
}

#[test]
fn a_silent_broker_loses_the_request_after_the_clients_patience() {
    let mut scene = scene(1, Manner::Silent);
    scene.world.advance().expect("no failure");
    scene.ask(Request::ApiVersions);
    let ended = scene.ended().expect("a time-out is no failure");
    assert_eq!(ended[0].outcome, Outcome::Lost);
    assert!(scene.world.now_ns() >= PATIENCE_NS);
}

#[test]
fn a_request_without_an_answer_is_over_when_it_is_sent() {
    let mut scene = scene(1, Manner::Silent);
    scene.ask(produce(&[RecordId(7)], Acks::None));
    assert!(scene.client.is_idle());
}

#[test]
fn a_broken_connection_loses_what_is_under_way_and_the_client_connects_again() {
    let mut scene = scene(1, Manner::Hangs);
    scene.world.advance().expect("no failure");
    scene.ask(Request::ApiVersions);
    assert_eq!(scene.ended().expect("closed")[0].outcome, Outcome::Lost);
    scene.ask(Request::ApiVersions);
    assert!(!scene.client.is_idle(), "it waits before it connects again");
    assert_eq!(scene.ended().expect("closed")[0].outcome, Outcome::Lost);
}

#[test]
fn an_answer_that_makes_no_sense_is_a_failure() {
    let mut scene = scene(1, Manner::Babbles);
    scene.world.advance().expect("no failure");
    scene.ask(Request::ApiVersions);
    assert!(scene.ended().is_err());
}

#[test]
fn a_request_goes_to_the_leader_of_its_partition() {
    let outcome = |seed, leader| {
        let mut scene = scene_of(seed, &[Manner::Hangs, Manner::Answers]);
        let topic = Topic {
            name: "t".into(),
            id: PARTITION.topic,
            partitions: 3,
            leaders: vec![(2, leader)],
            replicas: Vec::new(),
        };
        scene.routes.learn(&Request::Metadata, &Answer::Metadata(vec![topic]));
        for _ in 0..2 {
            scene.world.advance().expect("no failure");
        }
        scene.ask(produce(&[RecordId(7)], Acks::All));
        scene.ended().expect("no failure").remove(0).outcome
    };
    for seed in 0..20 {
        assert_eq!(outcome(seed, 1), Outcome::Lost, "seed {seed}");
        assert!(matches!(outcome(seed, 2), Outcome::Answered(Answer::Produce(_))), "seed {seed}");
    }
}

#[test]
fn a_broker_that_hangs_takes_nothing_from_what_another_was_asked() {
    let mut scene = scene_of(1, &[Manner::Hangs, Manner::Answers]);
    for _ in 0..2 {
        scene.world.advance().expect("no failure");
    }
    let topic = Topic {
        name: "t".into(),
        id: PARTITION.topic,
        partitions: 3,
        leaders: vec![(2, 2), (0, 1)],
        replicas: Vec::new(),
    };
    scene.routes.learn(&Request::Metadata, &Answer::Metadata(vec![topic]));
    scene.ask(produce(&[RecordId(7)], Acks::All));
    let of_the_other = PartitionId { index: 0, ..PARTITION };
    scene.ask(Request::ListOffsets { partition: of_the_other, topic: "t".into(), spec: Spec::Latest });
    let ended = scene.ended().expect("no failure");
    for one in ended {
        let is_lost = one.outcome == Outcome::Lost;
        assert_eq!(is_lost, matches!(one.request, Request::ListOffsets { .. }), "{:?}", one.request);
    }
}

#[test]
fn a_client_of_many_asks_aside_who_leads_what() {
    let mut scene = scene_of(1, &[Manner::Hangs, Manner::Hangs]);
    for _ in 0..2 {
        scene.world.advance().expect("no failure");
    }
    let denied = Answer::ListOffsets(Err(ErrorCode::NotLeaderOrFollower));
    let asked = Request::ListOffsets { partition: PARTITION, topic: "t".into(), spec: Spec::Latest };
    scene.routes.learn(&asked, &denied);
    scene.client.refresh(&mut scene.world, &mut scene.history, &mut scene.routes);
    let ended = scene.ended().expect("no failure");
    assert!(matches!(ended[..], [Ended { request: Request::Metadata, aside: true, .. }]));
}

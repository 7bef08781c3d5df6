//! InitProducerId (key 22), versions 0-5 (KIP-98; the epoch of a producer that goes on from v3: KIP-360; PRODUCER_FENCED
//! from v4: KIP-588).
//!
//! Ids come from blocks that the controller made durable, so none is given out twice over restarts. An idempotent producer
//! that names an id of its own wants its epoch raised: it gets a new id, which serves it as well. With a transactional
//! id the transaction coordinator decides.

use super::{
    controlled::{self, WRONG_KIND},
    respond::ReplyTo,
    transactions::{self, producer},
};
use crate::{
    controller::AllocateProducerIdsRequest,
    engine::{Context, ControllerRequest, Response, Start, producer_ids},
    error::ErrorCode,
    ids::{ProducerEpoch, ProducerId},
    transactions::{InitProducer, Producer, Request, Response as Initialised, Versioned, told as versioned},
    wire::{RequestHeader, WireError, decode_request},
};
use bytes::Bytes;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

/// Of a client that has none.
const NO_PRODUCER: i64 = -1;
const NO_EPOCH: i16 = -1;

/// How long a new block of ids may take: less than a client waits for its request.
const BLOCK_MS_MAX: i32 = 20_000;

pub(super) fn start(
    context: &mut Context<'_>,
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<Start, WireError> {
    let request: InitProducerIdRequest = decode_request(header, frame)?;
    let reply_to = ReplyTo::new(header);
    if (request.producer_id.0 == NO_PRODUCER) != (request.producer_epoch == NO_EPOCH) {
        return Ok(Start::Ready(told(reply_to, Err(ErrorCode::InvalidRequest))));
    }
    if let Some(id) = &request.transactional_id {
        let init = InitProducer {
            id: id.as_str().into(),
            timeout_ms: request.transaction_timeout_ms,
            continues: (request.producer_id.0 != NO_PRODUCER)
                .then(|| producer(request.producer_id, request.producer_epoch)),
            two_phase: request.enable_2_pc,
            keep_prepared: request.keep_prepared_txn,
        };
        return Ok(transactions::ask(context, "InitProducerId", Request::Init(init), move |_, reply| {
            let producer = match reply {
                Ok(Initialised::Initialised(producer)) => Ok(producer),
                Ok(_) => Err(WRONG_KIND),
                Err(error) => Err(versioned(error, Versioned::InitProducerId, reply_to.version)),
            };
            told(reply_to, producer)
        }));
    }
    if let Some(id) = context.producer_ids.take() {
        return Ok(Start::Ready(told(reply_to, Ok(first(id)))));
    }
    let Some(broker) = context.image.broker(context.place.node) else {
        return Ok(Start::Ready(told(reply_to, Err(ErrorCode::CoordinatorLoadInProgress))));
    };
    let ask = ControllerRequest::AllocateProducerIds(AllocateProducerIdsRequest {
        broker: broker.id,
        broker_epoch: broker.epoch,
    });
    Ok(controlled::ask(context, "InitProducerId", BLOCK_MS_MAX, ask, move |context, answer| {
        // Retriable for every client, unlike what a controller or a broker's old registration says.
        let block = answer.map_or(Err(ErrorCode::CoordinatorLoadInProgress), producer_ids::block);
        let id = block.and_then(|block| {
            context.producer_ids.add(block);
            context.producer_ids.take().ok_or(ErrorCode::CoordinatorLoadInProgress)
        });
        told(reply_to, id.map(first))
    }))
}

/// A new id.
fn first(id: ProducerId) -> Producer {
    Producer { id, epoch: ProducerEpoch(0) }
}

fn told(reply_to: ReplyTo, producer: Result<Producer, ErrorCode>) -> Response {
    let response = match producer {
        Ok(Producer { id, epoch }) => {
            InitProducerIdResponse::default().with_producer_id(id.0.into()).with_producer_epoch(epoch.0)
        }
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id((-1).into())
            .with_producer_epoch(-1),
    };
    reply_to.encode(&response)
}

//! DeleteTopics, by name or by id.

use super::{ApiError, Controller, Decision};
use crate::{
    error::ErrorCode,
    ids::TopicId,
    metadata::{Precondition, Record},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Topics to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteTopicsRequest {
    /// Each is deleted or refused for itself.
    pub topics: Vec<TopicRef>,
}

/// How a request names a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
}

/// What became of a topic to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedTopicResult {
    /// Its name, if it is known.
    pub name: Option<String>,
    /// Its id, if it is known, else zero.
    pub id: TopicId,
    /// What became of it.
    pub result: Result<(), ApiError>,
}

impl Controller {
    /// Decides on topics to delete.
    pub fn delete_topics(&mut self, request: &DeleteTopicsRequest) -> Decision<Vec<DeletedTopicResult>> {
        let mut occurrences: BTreeMap<&TopicRef, usize> = BTreeMap::new();
        request.topics.iter().for_each(|topic| *occurrences.entry(topic).or_default() += 1);
        let mut ids: BTreeMap<TopicId, usize> = BTreeMap::new();
        for topic in occurrences.keys() {
            if let Ok((id, _)) = self.resolve(topic) {
                *ids.entry(id).or_default() += 1;
            }
        }
        let results: Vec<DeletedTopicResult> = occurrences
            .iter()
            .map(|(topic, occurrences)| match self.resolve(topic) {
                _ if *occurrences > 1 => named(topic, duplicate(topic)),
                Err(error) => named(topic, error),
                Ok((id, _)) if ids[&id] > 1 => named(
                    topic,
                    ApiError::new(
                        ErrorCode::InvalidRequest,
                        "The provided topic name maps to an ID that was already supplied.",
                    ),
                ),
                Ok((id, name)) => DeletedTopicResult { name: Some(name), id, result: Ok(()) },
            })
            .collect();
        let doomed = || results.iter().filter(|result| result.result.is_ok()).map(|result| result.id);
        let preconditions = doomed().map(Precondition::TopicExists).collect();
        let records = doomed().map(|id| Record::RemoveTopic { id }).collect();
        self.propose(preconditions, records, results).unwrap_or_else(|error| {
            let refused = occurrences.keys().map(|topic| named(topic, error.clone())).collect();
            self.unchanged(refused)
        })
    }

    fn resolve(&self, topic: &TopicRef) -> Result<(TopicId, String), ApiError> {
        let found = match topic {
            TopicRef::Name(name) => self.speculative.topic(name).ok_or_else(ApiError::unknown_topic),
            TopicRef::Id(TopicId::ZERO) => {
                Err(ApiError::new(ErrorCode::InvalidRequest, "Neither topic name nor id were specified."))
            }
            TopicRef::Id(id) => self.speculative.topic_by_id(*id).ok_or_else(|| {
                ApiError::new(ErrorCode::UnknownTopicId, "This server does not host this topic ID.")
            }),
        };
        found.map(|topic| (topic.id, topic.name.to_string()))
    }
}

fn named(topic: &TopicRef, error: ApiError) -> DeletedTopicResult {
    match topic {
        TopicRef::Name(name) => {
            DeletedTopicResult { name: Some(name.clone()), id: TopicId::ZERO, result: Err(error) }
        }
        TopicRef::Id(id) => DeletedTopicResult { name: None, id: *id, result: Err(error) },
    }
}

fn duplicate(topic: &TopicRef) -> ApiError {
    let text = match topic {
        TopicRef::Name(_) => "Duplicate topic name.",
        TopicRef::Id(_) => "Duplicate topic id.",
    };
    ApiError::new(ErrorCode::InvalidRequest, text)
}

#[cfg(test)]
mod tests;

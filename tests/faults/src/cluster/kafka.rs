//! Apache Kafka's own nodes, for figures beside ours: a JVM each, brokers and controllers in one, everything at its
//! default but addresses, directories and what three nodes need.

use super::Ground;
use crate::stack::{clients, tie};
use anyhow::{Context, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Any, in Kafka's form.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// One node.
#[derive(Clone, Debug)]
pub(super) struct KafkaNode {
    properties: PathBuf,
    wrapper: Vec<String>,
}

impl KafkaNode {
    /// Writes its configuration and formats its directory.
    pub fn new(ground: &Ground, nodes: usize, directory: &Path, index: usize) -> anyhow::Result<KafkaNode> {
        let voters = (0..nodes).map(|node| format!("{}@{}", node + 1, ground.controller_address(node)));
        let data = directory.join(format!("kafka{index}"));
        let lines = [
            format!("node.id={}", index + 1),
            "process.roles=broker,controller".to_owned(),
            format!(
                "listeners=PLAINTEXT://{},CONTROLLER://{}",
                ground.client_address(index),
                ground.controller_address(index)
            ),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("controller.quorum.voters={}", voters.collect::<Vec<_>>().join(",")),
            format!("log.dirs={}", data.display()),
            format!("offsets.topic.replication.factor={nodes}"),
        ];
        let properties = directory.join(format!("kafka{index}.properties"));
        fs::write(&properties, lines.join("\n"))?;
        let node = KafkaNode { properties, wrapper: ground.wrapper(index) };
        let mut format = node.java("kafka.tools.StorageTool", "64m")?;
        format.args(["format", "--cluster-id", CLUSTER_ID, "--config"]).arg(&node.properties);
        let output = format.output().context("cannot run java")?;
        ensure!(
            output.status.success(),
            "formatting: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(node)
    }

    /// What starts it.
    pub fn command(&self) -> anyhow::Result<Command> {
        let mut command = self.java("kafka.Kafka", "512m")?;
        command.arg(&self.properties);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        tie(&mut command);
        Ok(command)
    }

    fn java(&self, class: &str, heap: &str) -> anyhow::Result<Command> {
        let jars = clients()?.join("java");
        ensure!(jars.exists(), "{} is missing: run tests/install-clients", jars.display());
        let mut words = self.wrapper.iter().map(String::as_str).chain(["java"]);
        let mut command = Command::new(words.next().context("a program")?);
        command.args(words).arg(format!("-Xmx{heap}")).arg(format!("-Xms{heap}"));
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        command.arg("-cp").arg(jars.join("*")).arg(class);
        Ok(command)
    }
}

//! Directories that are formatted, in earnest.

use super::*;
use crate::console::testing;
use corelane_core::config::formatted::{BOOTSTRAP_PROPERTIES, Beginning, InitialQuorum};
use tempfile::TempDir;

struct Node {
    directory: TempDir,
    config: String,
}

const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qk";

impl Node {
    fn new(more: &[&str]) -> Node {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let lines = [
            "node.id=1",
            "process.roles=controller",
            "listeners=CONTROLLER://:9093",
            &format!("log.dirs={}", data.display()),
        ];
        let config = directory.path().join("server.properties");
        std::fs::write(&config, [&lines[..], more].concat().join("\n")).expect("written");
        let config = config.display().to_string();
        Node { directory, config }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// What it says; or, of what fails, its last words.
    fn run(&self, command: &str, arguments: &[&str]) -> Result<String, String> {
        let (mut console, out) = testing();
        let arguments = [&[command, "-c", &self.config], arguments].concat();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let outcome = run(&arguments, &mut console);
        console.flush().expect("memory");
        match outcome {
            Ok(()) => Ok(out.text()),
            Err(Stop::Failed(told)) => Err(told),
            Err(Stop::Code(_)) => Err(out.text()),
        }
    }

    fn format(&self, arguments: &[&str]) -> Result<String, String> {
        self.run("format", &[&["-t", CLUSTER], arguments].concat())
    }

    fn beginning(&self) -> Beginning {
        let text = std::fs::read_to_string(self.data().join(BOOTSTRAP_PROPERTIES)).expect("formatted");
        Beginning::parse(&text).expect("well formed")
    }

    fn meta(&self) -> MetaProperties {
        read_meta(&self.data()).expect("well formed").expect("formatted")
    }
}

#[test]
fn a_controller_that_begins_alone_is_its_own_voter() {
    let node = Node::new(&[]);
    let data = node.data().display().to_string();
    assert_eq!(node.run("info", &[]), Err(format!("Found problem:\n  {data} does not exist\n\n")));
    let told = node.format(&["--standalone"]).expect("formatted");
    assert!(told.ends_with(&format!(
        "\nFormatting dynamic metadata voter directory {data} with metadata.version 4.3-IV0.\n"
    )));
    let meta = node.meta();
    let InitialQuorum::Voters(voters) = node.beginning().quorum else { panic!("{told}") };
    assert_eq!((voters.len(), voters[0].endpoint()), (1, "localhost:9093".to_owned()));
    assert_eq!((meta.cluster_id.as_str(), meta.directory_id), (CLUSTER, Some(voters[0].directory)));
    assert_eq!(node.beginning().levels[corelane_core::controller::KRAFT_VERSION], 1);
    let id = directory_text(voters[0].directory);
    let metadata = format!("{{cluster.id={CLUSTER}, directory.id={id}, node.id=1, version=1}}");
    let info = format!("Found log directory:\n  {data}\n\nFound metadata: {metadata}\n\n");
    assert_eq!(node.run("info", &[]), Ok(info));

    let again = node.format(&["--standalone"]).expect_err("formatted");
    assert!(again.contains("is already formatted. Use --ignore-formatted"), "{again}");
    let ignored = node.format(&["-g", "-s"]).expect("left alone");
    assert_eq!(ignored, "All of the log directories are already formatted.\n");
    let other = node.run("format", &["-t", "other", "-g", "-s"]).expect_err("another cluster's");
    assert!(other.ends_with(&format!("Expected other, but read {CLUSTER}")), "{other}");
    assert_eq!(node.meta(), meta);
}

#[test]
fn a_controller_may_begin_with_others_or_wait_for_them() {
    let voters = "1@a:1:AAAAAAAAAAAAAAAAAAAAAQ,2@b:2:AAAAAAAAAAAAAAAAAAAAAg";
    let node = Node::new(&[]);
    node.format(&["-I", voters]).expect("formatted");
    assert_eq!(node.meta().directory_id, Some(1));
    let node = Node::new(&[]);
    node.format(&["-N", "--release-version", "3.9"]).expect("formatted");
    let beginning = node.beginning();
    assert_eq!((beginning.quorum, beginning.levels["group.version"]), (InitialQuorum::Existing, 0));
    let node = Node::new(&["controller.quorum.voters=1@a:1"]);
    let told = node.format(&["-f", "group.version=0"]).expect("formatted");
    assert!(told.contains("Formatting metadata directory"), "{told}");
    let beginning = node.beginning();
    assert_eq!((beginning.quorum, beginning.levels["kraft.version"]), (InitialQuorum::Configured, 0));
}

#[test]
fn what_cannot_be_formatted_is_refused_and_nothing_is_written() {
    let fixed = "controller.quorum.voters=1@a:1";
    for (more, arguments, told) in [
        (&[][..], &[][..], "you must specify one of the following: --standalone"),
        (&[], &["-I", "x"], "No @ found in dynamic voter string."),
        (&[], &["-s", "-f", "kraft.version=0"], "Cannot set kraft.version to 0"),
        (&[], &["-s", "-f", "nope=1"], "Unsupported feature: nope."),
        (&[], &["-s", "-f", "nope"], "equals sign not found."),
        (&[], &["-s", "-r", "3.0"], "Unknown metadata.version '3.0'"),
        (&[], &["-s", "-r", "4.0", "-f", "metadata.version=7"], "to avoid ambiguity."),
        (&[], &["-s", "-f", "metadata.version=31"], "4.4-IV0 is not yet stable."),
        (&[], &["-s", "-S", "x"], "not built yet"),
        (&[fixed], &["-s"], "You cannot specify controller.quorum.voters and format the node"),
        (&[fixed], &["-f", "kraft.version=1"], "Cannot set kraft.version to 1 unless"),
        (&["corelane.cluster.id=another"], &["-s"], "corelane.cluster.id is another"),
    ] {
        let node = Node::new(more);
        let refused = node.format(arguments).expect_err("refused");
        assert!(refused.contains(told), "{arguments:?}: {refused}");
        assert!(!node.data().exists(), "{arguments:?}");
    }
}

#[test]
fn a_random_id_looks_like_no_option() {
    assert!((0..1_000).all(|_| !id_text(format::random_id()).starts_with('-')));
}

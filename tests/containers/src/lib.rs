//! Runs compose files on a container engine where one works, and on namespaces where none does.
//!
//! The stand-in does for a container what an engine does that a broker could notice: a network, a host name, a table of
//! names, a process tree, capabilities and system calls of its own, and folders of the host mounted into it. What the image
//! holds and starts comes from `docker/Dockerfile`; the root file system is this machine's.

mod cluster;
mod compose;
mod docker;
mod image;
mod namespaces;
mod process;
mod publish;

pub use cluster::{Cluster, Project, Ran, Running, start};

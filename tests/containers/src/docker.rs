//! Docker, where it works: its daemon answers, compose is there, and so is the base image.

use crate::{
    cluster::{Cluster, Project},
    image,
    process::{limited, run, succeed, successful},
};
use anyhow::{Context, ensure};
use std::{fs, process::Command};

/// What the image is built on; nothing is pulled for a test.
fn base() -> String {
    std::env::var("CORELANE_BASE_IMAGE").unwrap_or_else(|_| "debian:bookworm-slim".into())
}

/// An engine that was found, and which compose it has.
pub struct Docker {
    compose: &'static [&'static str],
    version: String,
}

impl Docker {
    /// Looks for an engine that can run a project.
    ///
    /// # Errors
    /// Why none can.
    pub fn find(project: &Project) -> anyhow::Result<Docker> {
        let asked = run(limited(&["docker", "version", "--format", "{{.Server.Version}}"]), "")?;
        ensure!(asked.code == 0, "docker does not answer: {}", asked.err.trim());
        let composes: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
        let works = |words: &&&[&str]| {
            let words = [**words, &["version"]].concat();
            run(limited(&words), "").is_ok_and(|ran| ran.code == 0)
        };
        let compose = *composes.iter().find(works).context("there is no compose for it")?;
        succeed(&["docker", "image", "inspect", &base()]).with_context(|| {
            format!("it does not have the base image {}, and none is pulled for a test", base())
        })?;
        for service in project.compose.services.values() {
            // An engine that is in a container itself may raise none.
            for (name, limit) in &service.ulimits {
                let limit = format!("{name}={limit}");
                succeed(&["docker", "run", "--rm", "--ulimit", &limit, &base(), "true"])?;
            }
            let Some(name) = &service.container_name else { continue };
            let taken = run(limited(&["docker", "container", "inspect", name]), "")?;
            ensure!(taken.code != 0, "it has another container of the name {name}");
        }
        Ok(Docker { compose, version: asked.out.trim().to_owned() })
    }

    /// Builds the image and starts the services.
    ///
    /// # Errors
    /// What the engine says.
    pub fn up(self, project: Project) -> anyhow::Result<DockerCluster> {
        let name = format!("corelane-test-{}", std::process::id());
        let cluster = DockerCluster { docker: self, project, name };
        cluster.build()?;
        let written = fs::read_to_string(&cluster.project.file)?;
        let replaced = written.replace("image: corelane\n", &format!("image: {}\n", cluster.name));
        fs::write(&cluster.project.file, replaced)?;
        cluster.compose(&["up", "--detach"])?;
        Ok(cluster)
    }
}

/// Containers of a project. Dropping it removes them, their volumes and the image.
pub struct DockerCluster {
    docker: Docker,
    project: Project,
    name: String,
}

impl DockerCluster {
    fn build(&self) -> anyhow::Result<()> {
        // A context of the binary alone, be it a debug build.
        let context = tempfile::tempdir()?;
        let binary = context.path().join("target/release/corelane");
        fs::create_dir_all(binary.parent().context("it has one")?)?;
        fs::copy(image::binary()?, &binary)?;
        let dockerfile = image::root().join("docker/Dockerfile");
        let (dockerfile, base) =
            (dockerfile.to_str().context("a path of UTF-8")?, format!("BASE={}", base()));
        let context = context.path().to_str().context("a path of UTF-8")?;
        succeed(&["docker", "build", "-f", dockerfile, "-t", &self.name, "--build-arg", &base, context])
            .map(drop)
    }

    fn compose(&self, words: &[&str]) -> anyhow::Result<String> {
        let file = self.project.file.to_str().context("a path of UTF-8")?;
        let folder = self.project.folder.path().to_str().context("a path of UTF-8")?;
        let project = ["-p", &self.name, "-f", file, "--project-directory", folder];
        let mut command = limited(&[self.docker.compose, &project, words].concat());
        // Old ones look for profiles where they are called.
        command.current_dir(folder);
        successful(command)
    }

    /// The container's name; services that name none are numbered by compose.
    fn container(&self, service: &str) -> String {
        let named = self.project.compose.services.get(service).and_then(|it| it.container_name.clone());
        let id = || Some(self.compose(&["ps", "-q", service]).ok()?.trim().to_owned());
        named.or_else(id).unwrap_or_else(|| service.to_owned())
    }
}

impl Cluster for DockerCluster {
    fn used(&self) -> String {
        format!("Docker {}", self.docker.version)
    }

    fn command_inside(&self, service: &str, words: &[&str]) -> Command {
        limited(&[&["docker", "exec", "-i", &self.container(service)], words].concat())
    }

    fn command_on_host(&self, words: &[&str]) -> Command {
        limited(words)
    }

    fn kill(&mut self, service: &str) -> anyhow::Result<()> {
        succeed(&["docker", "kill", &self.container(service)])?;
        // It is told when it is sent.
        succeed(&["docker", "wait", &self.container(service)]).map(drop)
    }

    fn start(&mut self, service: &str) -> anyhow::Result<()> {
        succeed(&["docker", "start", &self.container(service)]).map(drop)
    }

    fn said(&self, service: &str) -> anyhow::Result<String> {
        let ran = run(limited(&["docker", "logs", &self.container(service)]), "")?;
        Ok(ran.out + &ran.err)
    }
}

impl Drop for DockerCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for service in self.project.compose.services.keys() {
                eprintln!("what {service} said:\n{}", self.said(service).unwrap_or_default());
            }
        }
        // What the containers wrote is the user's of the image, in folders that the engine made as root: whoever runs the
        // tests may not remove it.
        let mounted = format!("{}:/project", self.project.folder.path().display());
        let remove = ["--entrypoint", "rm", &self.name, "-rf", "/project/data"];
        let steps = [
            self.compose(&["down", "--volumes", "--timeout", "1"]).map(drop),
            succeed(&[&["docker", "run", "--rm", "-v", &mounted][..], &remove].concat()).map(drop),
            succeed(&["docker", "rmi", "--force", &self.name]).map(drop),
        ];
        for failed in steps.into_iter().filter_map(Result::err) {
            eprintln!("Docker was not left as it was: {failed:#}");
        }
    }
}

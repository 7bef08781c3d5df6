//! Namespaces in place of an engine.
//!
//! The thread that starts a cluster moves into a network namespace that stands for the host: a bridge, and published ports
//! on it. Every container is a process that holds namespaces of its own (network, mounts, host name, processes); when it
//! ends, the kernel ends whatever runs in them, and when this process ends, however it does, so does that one. Nothing is
//! left behind but a temporary folder.

use crate::{
    cluster::{Cluster, Project},
    compose::{Service, Volume},
    image::{self, Image},
    process::{Running, limited, succeed},
    publish::Published,
};
use anyhow::{Context, ensure};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    os::{
        fd::AsFd,
        unix::{fs::FileExt, process::CommandExt},
    },
    path::Path,
    process::Command,
    time::Duration,
};

/// What a container's root may do at most: what engines leave it.
const CAPABILITIES: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,\
                            +net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

/// A table of names has always this size, so that one write replaces all of it: whoever reads never finds half of it.
const NAMES_BYTES: usize = 4096;

const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

const SETUP_PATIENCE: Duration = Duration::from_secs(20);

/// The services of a project, a set of namespaces each. Dropping it ends them.
pub struct Namespaces {
    containers: BTreeMap<String, Container>,
    project: Project,
    image: Image,
    names: File,
    next_address: u8,
    /// Last, so that all else ends in the namespace in which it was made.
    _host: Host,
}

/// The network namespace that stands for the host. Dropping it takes the thread back to where it came from.
struct Host {
    former: File,
}

struct Container {
    id: String,
    /// As long as it has a network.
    address: Option<Ipv4Addr>,
    /// In earlier lives.
    said_before: String,
    life: Option<Life>,
}

/// A container that runs. Its parts end in this order.
struct Life {
    published: Vec<Published>,
    holder: Running,
    broker: Running,
}

impl Host {
    fn make() -> anyhow::Result<Host> {
        let host = Host { former: File::open("/proc/thread-self/ns/net")? };
        // SAFETY: only this thread's network changes; its files and memory stay as they are.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
            .context("no network namespace can be made")?;
        for words in
            ["link set lo up", "link add br0 type bridge", "addr add 10.9.0.1/24 dev br0", "link set br0 up"]
        {
            ip(words)?;
        }
        Ok(host)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let back =
            rustix::thread::move_into_link_name_space(self.former.as_fd(), Some(LinkNameSpaceType::Network));
        if let Err(error) = back {
            eprintln!("this thread cannot go back to its network: {error}");
        }
    }
}

fn ip(words: &str) -> anyhow::Result<()> {
    let words: Vec<&str> = std::iter::once("ip").chain(words.split(' ')).collect();
    succeed(&words).map(drop)
}

impl Namespaces {
    /// Makes a host and starts the services on it.
    ///
    /// # Errors
    /// What cannot be made.
    pub fn up(project: Project) -> anyhow::Result<Namespaces> {
        let image = image::read()?;
        let host = Host::make()?;
        let names = File::create_new(project.folder.path().join("names"))?;
        let services: Vec<String> = project.compose.services.keys().cloned().collect();
        let containers = BTreeMap::new();
        let mut cluster = Namespaces { containers, project, image, names, next_address: 2, _host: host };
        for (at, name) in services.iter().enumerate() {
            let id = container_id(std::process::id(), at);
            let container = Container { id, address: None, said_before: String::new(), life: None };
            cluster.containers.insert(name.clone(), container);
            cluster.start(name)?;
        }
        Ok(cluster)
    }

    /// Writes the names of those that run, as an engine's resolver knows them; the first is what an address leads back to.
    fn tell_names(&self) -> anyhow::Result<()> {
        let mut text = "127.0.0.1 localhost\n".to_owned();
        for (service, container) in &self.containers {
            let Some(address) = container.address else { continue };
            let settings = &self.project.compose.services[service];
            let own = settings.hostname.as_ref().unwrap_or(&container.id);
            let named = settings.container_name.as_ref().unwrap_or(service);
            writeln!(text, "{address} {own} {} {service} {named}", container.id)?;
        }
        ensure!(text.len() <= NAMES_BYTES, "too many services");
        self.names.write_all_at(format!("{text:\n<NAMES_BYTES$}").as_bytes(), 0)?;
        Ok(())
    }

    fn container(&mut self, service: &str) -> anyhow::Result<&mut Container> {
        self.containers.get_mut(service).with_context(|| format!("there is no {service}"))
    }

    fn life(&self, service: &str) -> Option<&Life> {
        self.containers.get(service)?.life.as_ref()
    }

    /// Makes the namespaces, mounts what is to be seen in them, and joins them to the bridge.
    fn hold(&self, service: &str, id: &str, address: Ipv4Addr) -> anyhow::Result<Running> {
        let settings = &self.project.compose.services[service];
        let script = self.mounts(settings, settings.hostname.as_deref().unwrap_or(id))?;
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["--propagation", "private", "sh", "-ec", &script]);
        let holder = Running::start(command, false)?;
        holder.await_line("mounted", SETUP_PATIENCE)?;
        let (process, last) = (holder.id(), address.octets()[3]);
        ip(&format!("link add v{last} type veth peer name eth0 netns {process}"))?;
        ip(&format!("link set v{last} master br0 up"))?;
        for words in
            [format!("addr add {address}/24 dev eth0"), "link set eth0 up".into(), "link set lo up".into()]
        {
            let words: Vec<&str> = words.split(' ').collect();
            let process = process.to_string();
            succeed(&[&["nsenter", "-t", &process, "--net", "ip"], &words[..]].concat())?;
        }
        Ok(holder)
    }

    /// A shell's commands that give a container its name and its files.
    fn mounts(&self, settings: &Service, host_name: &str) -> anyhow::Result<String> {
        let names = self.project.folder.path().join("names");
        let (binary, place) = (image::binary()?, &self.image.binary);
        let tools = place.parent().context("a binary has a folder")?;
        let mut script = format!(
            "echo {host_name} > /proc/sys/kernel/hostname\n\
             mount --bind {} /etc/hosts\n\
             mount -t tmpfs -o mode=755 none {tools}\n\
             touch {place}\nmount --bind {} {place}\n",
            names.display(),
            binary.display(),
            tools = tools.display(),
            place = place.display(),
        );
        for words in &self.image.made_by {
            writeln!(script, "{} > /dev/null", words.join(" "))?;
        }
        let mut roofed = BTreeSet::new();
        for volume in settings.volumes()? {
            let (source, place) = match &volume {
                Volume::Folder(folder, place) => (self.project.folder.path().join(folder), place),
                Volume::Named(name, place) => (self.project.folder.path().join("volumes").join(name), place),
            };
            let is_new = !source.exists();
            // As an engine does: as root.
            fs::create_dir_all(&source)?;
            if is_new && matches!(volume, Volume::Named(..)) {
                std::os::unix::fs::chown(&source, Some(1000), Some(1000))?;
            }
            // In memory, so that nothing of this machine is touched.
            let above = place.ancestors().skip(1).find(|above| above.is_dir());
            let above = above.filter(|above| *above != Path::new("/"));
            let above = above.with_context(|| format!("{} cannot be made but in /", place.display()))?;
            if roofed.insert(above.to_owned()) {
                writeln!(script, "mount -t tmpfs -o mode=755 none {}", above.display())?;
            }
            let (source, place) = (source.display(), place.display());
            writeln!(script, "mkdir -p {place}\nmount --bind {source} {place}")?;
        }
        if settings.read_only {
            script += "mount -o remount,bind,ro /\n";
        }
        Ok(script + "echo mounted\nexec sleep infinity")
    }

    /// What starts the broker in a container's namespaces.
    fn broker(&self, service: &str, holder: &Running) -> anyhow::Result<Command> {
        let settings = &self.project.compose.services[service];
        let capabilities = if settings.cap_drop == ["ALL"] { "-all" } else { CAPABILITIES };
        let mut words = vec!["setpriv", "--bounding-set", capabilities];
        let user = settings.user.as_ref().or(self.image.user.as_ref());
        if let Some((user, group)) = user.and_then(|user| user.split_once(':')) {
            words.extend(["--reuid", user, "--regid", group, "--clear-groups"]);
        }
        words.push("--");
        words.extend(self.image.entrypoint.iter().map(String::as_str));
        let driver = std::env::var("CORELANE_TEST_DRIVER").ok();
        if let Some(driver) = &driver {
            words.extend(["--driver", driver]);
        }
        let mut command = entering(holder, &words);
        command.envs(&self.image.environment);
        command.envs(settings.environment.iter().map(|(name, value)| (name, value.to_string())));
        // Today's engines forbid io_uring to whoever brings no profile.
        if !settings.has_profile() && !matches!(driver.as_deref(), Some("glommio" | "ring")) {
            let filter = without_io_uring()?;
            let child = move || seccompiler::apply_filter(&filter).map_err(std::io::Error::other);
            // SAFETY: between fork and exec it calls prctl and seccomp only; the filter was made before.
            unsafe { command.pre_exec(child) };
        }
        Ok(command)
    }
}

/// A command in a holder's namespaces.
fn entering(holder: &Running, words: &[&str]) -> Command {
    let process = holder.id();
    let mut command = Command::new("nsenter");
    command.args(["-t", &process.to_string(), "--net", "--mount", "--uts"]);
    command.arg(format!("--pid=/proc/{process}/ns/pid_for_children"));
    command.args(words).env_clear().env("PATH", PATH).current_dir("/");
    command
}

fn without_io_uring() -> anyhow::Result<BpfProgram> {
    let calls = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];
    let rules = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into()?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture)?.try_into()?)
}

impl Cluster for Namespaces {
    fn used(&self) -> String {
        "processes in namespaces of their own".into()
    }

    fn command_inside(&self, service: &str, words: &[&str]) -> Command {
        let life = self.life(service).unwrap_or_else(|| panic!("{service} does not run"));
        entering(&life.holder, &[&["timeout", "--kill-after=5", "120"], words].concat())
    }

    fn command_on_host(&self, words: &[&str]) -> Command {
        limited(words)
    }

    fn kill(&mut self, service: &str) -> anyhow::Result<()> {
        let container = self.container(service)?;
        let life = container.life.take().with_context(|| format!("{service} does not run"))?;
        let said = end(life);
        container.said_before += &said;
        container.address = None;
        self.tell_names()
    }

    fn start(&mut self, service: &str) -> anyhow::Result<()> {
        // One that comes back may well have another address.
        let address = Ipv4Addr::new(10, 9, 0, self.next_address);
        self.next_address += 1;
        let id = self.containers[service].id.clone();
        let holder = self.hold(service, &id, address)?;
        // A broker may listen on its own name.
        self.container(service)?.address = Some(address);
        self.tell_names()?;
        let broker = Running::start(self.broker(service, &holder)?, true)?;
        let mut published = Vec::new();
        for port in self.project.compose.services[service].ports()? {
            let container = SocketAddr::from((address, port.container));
            published.push(Published::open(port.host.into(), container)?);
        }
        self.container(service)?.life = Some(Life { published, holder, broker });
        Ok(())
    }

    fn said(&self, service: &str) -> anyhow::Result<String> {
        let now = self.life(service).map(|life| life.broker.said()).unwrap_or_default();
        Ok(self.containers[service].said_before.clone() + &now)
    }
}

/// As engines name them: twelve hexadecimal digits that are not all decimal ones. A container without a name of its own has
/// this one for its host, and resolvers take a number for an IPv4 address.
fn container_id(process: u32, at: usize) -> String {
    format!("c{process:08x}{:03x}", at + 1)
}

/// Ends a container at once, as the kernel ends a process tree; what its broker said.
fn end(life: Life) -> String {
    let Life { published, holder, mut broker } = life;
    drop(holder);
    // It waits for what ran in the namespaces.
    broker.wait();
    drop(published);
    broker.said()
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for (service, container) in &mut self.containers {
            let said = container.life.take().map(end).unwrap_or_default();
            if std::thread::panicking() {
                eprintln!("what {service} said:\n{}{said}", container.said_before);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::ToSocketAddrs as _;

    #[test]
    fn a_containers_id_is_never_taken_for_an_address() {
        // What the kernel's resolver makes of a number is why it matters.
        let number = ("002216000003", 1).to_socket_addrs().expect("octal").next().expect("one");
        assert_eq!(number.ip(), Ipv4Addr::new(18, 56, 0, 3));
        for process in [0, 1, 2216, 0x1234, 0x2216, 4_194_304] {
            for at in [0, 2, 4094] {
                let id = container_id(process, at);
                assert_eq!(id.len(), 12, "{id}");
                assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
                assert!(id.parse::<u64>().is_err(), "{id}");
            }
        }
    }
}

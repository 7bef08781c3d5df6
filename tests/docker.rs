//! What the image's files and its entrypoint promise, as far as it can be told without a container engine.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_seccomp_profile_allows_io_uring_and_refuses_by_default() {
    let profile: serde_json::Value = serde_json::from_str(&file("seccomp.json")).expect("valid JSON");
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let allowed = profile["syscalls"][0]["names"].as_array().expect("a list of names");
    for name in
        ["io_uring_setup", "io_uring_enter", "io_uring_register", "sendfile", "cachestat", "fallocate"]
    {
        assert!(allowed.iter().any(|allowed| allowed == name), "{name} is missing");
    }
    // What a container's engine calls between loading the profile and starting the image.
    for name in
        ["capget", "capset", "prctl", "setgroups", "setresgid", "setresuid", "chdir", "execve", "fstatfs"]
    {
        assert!(allowed.iter().any(|allowed| allowed == name), "{name} is missing: no container would start");
    }
    // What gives a data folder to the image's user, and becomes that user.
    for name in ["fchown", "fchownat", "newfstatat", "getdents64", "setgid", "setuid"] {
        assert!(allowed.iter().any(|allowed| allowed == name), "{name} is missing: nothing would be mended");
    }
    for name in ["ptrace", "mount", "bpf", "kexec_load", "init_module", "setns", "unshare"] {
        assert!(!allowed.iter().any(|allowed| allowed == name), "{name} is no business of a broker");
    }
}

#[test]
fn the_image_takes_its_base_as_an_argument_and_starts_what_gives_up_being_root() {
    let dockerfile = file("Dockerfile");
    assert!(dockerfile.contains("ARG BASE=") && dockerfile.contains("FROM ${BASE}"));
    assert!(dockerfile.contains("\nENTRYPOINT [\"/usr/local/bin/corelane\", \"container\"]\n"));
    assert!(
        dockerfile.contains("\"tools\", \"install\", \"/usr/local/bin\""),
        "its tools have Kafka's names"
    );
}

#[test]
fn the_compose_files_publish_on_loopback_use_the_profile_and_never_run_as_root() {
    for name in ["compose.yml", "compose-cluster.yml"] {
        let compose = file(name);
        let count = |text: &str| compose.matches(text).count();
        let services = count("image: corelane\n");
        assert!(services > 0);
        for each in [
            "- \"127.0.0.1:",
            "seccomp=./seccomp.json",
            "user: \"1000:1000\"",
            "cap_drop:\n      - ALL",
            "read_only: true",
        ] {
            assert_eq!(count(each), services, "{each} in {name}");
        }
    }
}

/// The binary where every user may run it, and an empty data folder.
struct Container {
    folder: tempfile::TempDir,
}

impl Container {
    fn new() -> Container {
        let folder = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        // By another process: were it open for writing in this one, a child of another test could hold it so for a moment, and
        // a file that is written to cannot be run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_corelane")).arg(folder.path()).status();
        assert!(copied.is_ok_and(|status| status.success()));
        fs::create_dir(folder.path().join("data")).expect("made");
        Container { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `wrapper` calls what stands behind it.
    fn start(&self, wrapper: &[&str], listeners: &str) -> Command {
        let mut words = wrapper.iter().map(PathBuf::from).chain([self.folder.path().join("corelane")]);
        let mut command = Command::new(words.next().expect("the binary, if nothing else"));
        let data = self.data().display().to_string();
        command.args(words).arg("container").env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        command
            .env("KAFKA_LOG_DIRS", data)
            .env("KAFKA_LISTENERS", listeners)
            .env("KAFKA_CORELANE_SHARDS", "1");
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// A broker that serves, killed with its handle.
struct Serving {
    child: Child,
    said: Vec<String>,
    port: u16,
    /// Read on, so that the broker never waits for a reader.
    lines: Lines<BufReader<ChildStderr>>,
}

impl Serving {
    fn await_(mut child: Child) -> Serving {
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut said = Vec::new();
        let port = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {said:?}")).expect("UTF-8");
            said.push(line.clone());
            if let Some((_, rest)) = line.split_once(" serving on ") {
                let address = rest.split_whitespace().next().expect("an address");
                break address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
            }
        };
        Serving { child, said, port, lines }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // SAFETY: kill touches no memory; the child is not reaped before.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        self.lines.by_ref().for_each(drop);
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    // SAFETY: it touches no memory.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        eprintln!("skipped: only root can become somebody else");
    }
    is_root
}

#[test]
fn as_root_it_gives_the_data_folder_to_the_images_user_and_becomes_that_user_for_good() {
    if !is_root() {
        return;
    }
    let container = Container::new();
    let serving =
        Serving::await_(container.start(&[], "PLAINTEXT://127.0.0.1:0").spawn().expect("it starts"));
    let status = fs::read_to_string(format!("/proc/{}/status", serving.child.id())).expect("it runs");
    let field = |name: &str| {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{status}"));
        line.split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), ["1000"; 4]);
    assert_eq!(field("Gid:"), ["1000"; 4]);
    assert!(field("Groups:").is_empty(), "root's groups open doors of their own");
    assert_eq!(field("CapPrm:"), ["0000000000000000"]);
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    assert!(serving.said[0].starts_with("gave 1 files and folders of "), "{:?}", serving.said);
    for entry in fs::read_dir(container.data()).expect("it is there") {
        let entry = entry.expect("an entry");
        assert_eq!(entry.metadata().expect("it is there").uid(), 1000, "{}", entry.path().display());
    }
}

#[test]
fn as_another_user_it_names_what_mends_a_data_folder_that_it_may_not_write_to() {
    if !is_root() {
        return;
    }
    let container = Container::new();
    let mut command = container.start(&[], "PLAINTEXT://127.0.0.1:0");
    let output = command.uid(1000).gid(1000).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{said}");
    let data = container.data().display().to_string();
    assert!(said.contains(&format!("error: user 1000 cannot write to the data folder {data}")), "{said}");
    assert!(said.contains("  fix: on the host, chown -R 1000:1000 FOLDER"), "{said}");
}

#[test]
fn a_listener_without_a_host_is_advertised_under_the_machines_canonical_name() {
    if !is_root() {
        return;
    }
    let container = Container::new();
    let names = container.folder.path().join("names");
    fs::write(&names, "127.0.0.1 box.example.org box localhost\n").expect("written");
    let inside = format!(
        "echo box > /proc/sys/kernel/hostname; mount --bind {} /etc/hosts; exec \"$@\"",
        names.display()
    );
    let machine = ["unshare", "--mount", "--uts", "sh", "-ec", &inside, "sh"];
    let serving = Serving::await_(container.start(&machine, "PLAINTEXT://:0").spawn().expect("it starts"));
    let mut tool = Command::new(env!("CARGO_BIN_EXE_corelane"));
    tool.args(["kafka-broker-api-versions", "--bootstrap-server", &format!("127.0.0.1:{}", serving.port)]);
    let output = tool.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(&format!("box.example.org:{}", serving.port)), "{told}");
}

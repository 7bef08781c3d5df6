use super::{readings::*, *};

fn good() -> Readings {
    Readings {
        ring: RingReading::Works { missing: vec![] },
        missing_for_ring: vec![],
        io_uring_disabled: Some(0),
        is_filtered: false,
        memlock: None,
        may_lock_all: false,
        open_files: (1 << 20, 1 << 20),
        direct: Some(("/data".into(), DirectReading::Works)),
        clock: ClockReading { source: Some("tsc".to_owned()), unix_ms: 1_700_000_000_000 },
    }
}

const WANTED: Wanted = Wanted { shards: 4, connections: 10_000 };

/// The one finding, and that it is complete.
fn only(readings: &Readings) -> Finding {
    let mut all = judge(readings, WANTED, Some(DriverKind::Glommio)).findings;
    assert_eq!(all.len(), 1, "{all:?}");
    let finding = all.remove(0);
    assert!(
        ![&finding.what_is_wrong, &finding.why_it_matters, &finding.command_that_mends]
            .iter()
            .any(|s| s.is_empty())
    );
    finding
}

#[test]
fn a_good_machine_gives_no_finding() {
    let judged = |asked| {
        let judgement = judge(&good(), WANTED, asked);
        assert_eq!(judgement.findings, vec![]);
        judgement.driver
    };
    assert_eq!(judged(None), DriverKind::Ring);
    for asked in DriverKind::ALL {
        assert_eq!(judged(Some(asked)), asked);
    }
}

#[test]
fn a_kernel_too_old_for_the_ring_driver_is_named_to_who_asks_for_it_and_gets_glommio_otherwise() {
    let old = Readings { missing_for_ring: vec!["IORING_SETUP_DEFER_TASKRUN (Linux 6.1)"], ..good() };
    let judgement = judge(&old, WANTED, Some(DriverKind::Ring));
    let [finding] = &judgement.findings[..] else { panic!("{judgement:?}") };
    assert!(finding.is_fatal && finding.what_is_wrong.contains("Linux 6.1"), "{finding}");
    assert!(finding.why_it_matters.contains("--driver glommio"), "{finding}");
    for asked in [None, Some(DriverKind::Glommio)] {
        assert_eq!(judge(&old, WANTED, asked), Judgement { driver: DriverKind::Glommio, findings: vec![] });
    }
}

#[test]
fn a_refused_ring_names_what_refused_it() {
    let said = |errno, io_uring_disabled| {
        let readings = Readings { ring: RingReading::Refused { errno }, io_uring_disabled, ..good() };
        let finding = only(&readings);
        assert!(finding.is_fatal);
        finding.to_string()
    };
    assert!(said(libc::ENOSYS, None).contains("no io_uring"));
    assert!(said(libc::ENOSYS, Some(0)).contains("seccomp"), "the kernel has it");
    let readings = Readings {
        ring: RingReading::Refused { errno: libc::ENOSYS },
        io_uring_disabled: None,
        is_filtered: true,
        ..good()
    };
    assert!(only(&readings).to_string().contains("seccomp"), "a filter denies it");
    for level in [1, 2] {
        assert!(said(libc::EPERM, Some(level)).contains("sysctl -w kernel.io_uring_disabled=0"));
    }
    assert!(said(libc::EPERM, Some(0)).contains("seccomp"));
    assert!(said(libc::EPERM, None).contains("seccomp"));
    assert!(said(libc::ENOMEM, None).contains("ulimit -l"));
    assert!(said(libc::EMFILE, None).contains("ulimit -n"));
    assert!(said(libc::EINVAL, None).contains("io_uring_setup failed"));
}

#[test]
fn missing_operations_are_named() {
    let ring = RingReading::Works { missing: vec!["IORING_OP_RECV"] };
    assert!(only(&Readings { ring, ..good() }).what_is_wrong.contains("IORING_OP_RECV"));
}

#[test]
fn too_little_lockable_memory_is_fatal_unless_the_limit_does_not_bind() {
    let tight = Readings { memlock: Some(64 << 10), ..good() };
    assert!(only(&tight).is_fatal);
    let judgement = judge(&Readings { may_lock_all: true, ..tight }, WANTED, Some(DriverKind::Glommio));
    assert_eq!(judgement.findings, []);
}

#[test]
fn too_few_open_files_warn_and_far_too_few_are_fatal() {
    assert!(!only(&Readings { open_files: (4096, 4096), ..good() }).is_fatal);
    let few = only(&Readings { open_files: (256, 256), ..good() });
    assert!(few.is_fatal && few.command_that_mends.contains("11024"));
}

#[test]
fn a_data_directory_without_direct_access_is_fatal() {
    let with = |direct| Readings { direct: Some(("/data".into(), direct)), ..good() };
    assert!(only(&with(DirectReading::Unsupported)).why_it_matters.contains("tmpfs"));
    assert!(only(&with(DirectReading::Failed("no space".to_owned()))).what_is_wrong.contains("no space"));
}

#[test]
fn a_slow_clock_warns_and_a_wrong_one_is_fatal() {
    let with = |source: &str, unix_ms| Readings {
        clock: ClockReading { source: Some(source.to_owned()), unix_ms },
        ..good()
    };
    assert!(!only(&with("hpet", 1_700_000_000_000)).is_fatal);
    assert!(only(&with("tsc", 1_000)).is_fatal);
}

#[test]
fn this_machine_is_read_without_a_panic() {
    let directory = tempfile::tempdir_in(".").expect("a directory");
    let readings = Readings::take(Some(directory.path()));
    judge(&readings, WANTED, None);
    assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 0);
    let nowhere = Readings::take(Some(std::path::Path::new("/nowhere/at/all")));
    assert!(matches!(nowhere.direct, Some((_, DirectReading::Failed(_)))));
}

#[test]
fn a_quota_bounds_the_cpus_but_never_to_none() {
    assert_eq!(quota_of("max 100000\n"), None);
    assert_eq!(quota_of("250000 100000\n"), Some(2.5));
    assert_eq!(quota_of("garbage"), None);
    assert_eq!(within_quota(vec![1, 3, 5], Some(2.5)), [1, 3]);
    assert_eq!(within_quota(vec![1, 3], Some(0.3)), [1]);
    assert_eq!(within_quota(vec![], None), [0]);
    assert_eq!(cgroup_path("1:name=x:/y\n0::/a/b\n"), Some("a/b".into()));
    assert!(!usable_cpus().is_empty());
}

#[test]
fn what_only_io_uring_needs_is_one_warning_where_any_driver_will_do_and_none_for_the_portable_one() {
    let refused = |errno| Readings { ring: RingReading::Refused { errno }, ..good() };
    for (readings, mend) in [
        (refused(libc::ENOSYS), "--security-opt seccomp="),
        (refused(libc::EPERM), "--security-opt seccomp="),
        (refused(libc::ENOMEM), "--ulimit memlock=-1"),
        (Readings { memlock: Some(64 << 10), ..good() }, "--ulimit memlock=-1"),
        (Readings { ring: RingReading::Works { missing: vec!["IORING_OP_RECV"] }, ..good() }, "Linux 6.1"),
        (Readings { direct: Some(("/data".into(), DirectReading::Unsupported)), ..good() }, "log.dirs"),
        (Readings { memlock: Some(64 << 10), ..refused(libc::EPERM) }, "--security-opt seccomp="),
    ] {
        let judgement = judge(&readings, WANTED, None);
        assert_eq!(judgement.driver, DriverKind::Portable);
        let [finding] = &judgement.findings[..] else { panic!("{judgement:?}") };
        assert!(!finding.is_fatal && finding.command_that_mends.contains(mend), "{finding}");
        assert!(finding.why_it_matters.contains("longer"), "the cost: {finding}");
        let asked = judge(&readings, WANTED, Some(DriverKind::Portable));
        assert_eq!((asked.driver, asked.findings), (DriverKind::Portable, vec![]));
    }
}

#[test]
fn what_every_driver_needs_is_fatal_for_every_driver() {
    let broken = Readings { open_files: (16, 16), ..good() };
    let unwritable =
        Readings { direct: Some(("/data".into(), DirectReading::Failed("no space".to_owned()))), ..good() };
    for readings in [broken, unwritable] {
        for asked in DriverKind::ALL.map(Some).into_iter().chain([None]) {
            assert!(judge(&readings, WANTED, asked).findings.iter().any(|finding| finding.is_fatal));
        }
    }
}

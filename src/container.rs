//! `corelane container`: what an image starts. As root it gives the data folders to the image's user and becomes that
//! user; as anybody else it starts the broker.
//!
//! An engine makes the folder of a bind mount as root, or finds it as somebody left it, and no image can say whose it
//! should be. So the image starts as root, for as long as it takes to mend that, and the broker never is.

use crate::{
    cli::StartOptions,
    report::{Blame, Problem, fail},
    start,
};
use corelane_core::config::BrokerConfig;
use rustix::{
    fs::{Access, AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid},
    io::Errno,
};
use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Who the broker is in a container; also its group. Kafka's own images have the same, so that a volume can be shared
/// with their tools.
const USER: u32 = 1000;

/// Folders below a data folder; a broker makes two. What lies deeper was made by somebody else, and is left alone.
const DEPTH_MAX: usize = 32;

/// `corelane container`.
pub fn run(options: &StartOptions, log_level: Option<&str>) -> ExitCode {
    // Where the configuration cannot be read, the start says so.
    let Ok((config, _)) = start::configuration(options) else { return start::run(options, log_level) };
    let folders = folders(&config);
    if rustix::process::geteuid().is_root() {
        for folder in &folders {
            mend(folder);
        }
        let error = become_user();
        let problem = Problem {
            wrong: format!("this container runs as root and cannot become user {USER}: {error}"),
            why: "a broker that is root could do far more than it needs to, and so could whoever breaks into it".into(),
            mend: format!("give it the capabilities SETUID and SETGID, or start it as a user: docker run --user {USER}:{USER}"),
        };
        return fail(Blame::Machine, &[problem]);
    }
    let problems: Vec<_> = folders.iter().filter_map(|folder| refused(folder)).collect();
    if problems.is_empty() { start::run(options, log_level) } else { fail(Blame::Machine, &problems) }
}

/// Where a broker writes.
fn folders(config: &BrokerConfig) -> BTreeSet<PathBuf> {
    config.directories().into_iter().cloned().collect()
}

/// Gives a folder and what is in it to the user, and says so. What cannot be given is told and passed over: where root
/// may not give, as on some network file systems, the user may be allowed to write all the same, which is seen next.
fn mend(folder: &Path) {
    let mut giving = Giving { to: USER, given: 0, kept: 0, first_error: None };
    let whole = fs::create_dir_all(folder).and_then(|()| fs::canonicalize(folder));
    match whole {
        // A slip of the pen must not give the whole image away.
        Ok(whole) if whole.parent().is_none() => return,
        Ok(whole) => giving.folder_at(CWD, whole.as_os_str(), 0),
        Err(error) => giving.failed(folder.as_os_str(), error),
    }
    let shown = folder.display();
    if giving.given > 0 {
        eprintln!("gave {} files and folders of {shown} to user {USER}, who did not own them", giving.given);
    }
    if let Some((name, error)) = giving.first_error {
        let name = name.display();
        eprintln!(
            "warning: {} of {shown} could not be given to user {USER}, first {name}: {error}",
            giving.kept
        );
    }
}

/// Files and folders that change their owner.
struct Giving {
    to: u32,
    given: u64,
    kept: u64,
    first_error: Option<(PathBuf, io::Error)>,
}

impl Giving {
    /// Gives a folder after what is in it. Every step starts from an open folder and follows no link, so that nobody who
    /// may write in there can have something elsewhere given away.
    fn folder_at(&mut self, parent: BorrowedFd<'_>, name: &OsStr, depth: usize) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(error) => return self.failed(name, error.into()),
        };
        if depth == DEPTH_MAX {
            return self.failed(name, io::Error::other("it lies too deep"));
        }
        let entries = match Dir::read_from(&folder) {
            Ok(entries) => entries,
            Err(error) => return self.failed(name, error.into()),
        };
        for entry in entries {
            match entry {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => (),
                Ok(entry) => {
                    self.entry(folder.as_fd(), OsStr::from_bytes(entry.file_name().to_bytes()), depth)
                }
                Err(error) => return self.failed(name, error.into()),
            }
        }
        let (to, group) = self.owner();
        let result = rustix::fs::fstat(&folder).and_then(|stat| match self.is_right(&stat) {
            true => Ok(false),
            false => rustix::fs::fchown(&folder, to, group).map(|()| true),
        });
        self.count(name, result);
    }

    /// Files and folders; whatever else is in there, links among it, is nothing of a broker's.
    fn entry(&mut self, folder: BorrowedFd<'_>, name: &OsStr, depth: usize) {
        let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(error) => return self.failed(name, error.into()),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.folder_at(folder, name, depth + 1),
            FileType::RegularFile if !self.is_right(&stat) => {
                let (to, group) = self.owner();
                let given = rustix::fs::chownat(folder, name, to, group, AtFlags::SYMLINK_NOFOLLOW);
                self.count(name, given.map(|()| true));
            }
            _ => (),
        }
    }

    fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.to)), Some(Gid::from_raw(self.to)))
    }

    fn is_right(&self, stat: &Stat) -> bool {
        stat.st_uid == self.to
    }

    /// `Ok(false)`: it was right already.
    fn count(&mut self, name: &OsStr, given: Result<bool, Errno>) {
        match given {
            Ok(given) => self.given += u64::from(given),
            Err(error) => self.failed(name, error.into()),
        }
    }

    fn failed(&mut self, name: &OsStr, error: io::Error) {
        self.kept += 1;
        self.first_error.get_or_insert_with(|| (name.into(), error));
    }
}

/// The same call, as the user, without root's groups and with no way back. Returns only why that could not be.
fn become_user() -> io::Error {
    let again = || -> io::Result<io::Error> {
        // Without this a set-uid program could still make a root of it.
        rustix::thread::set_no_new_privs(true)?;
        // `uid` gives up the supplementary groups as well.
        Ok(Command::new(env::current_exe()?).args(env::args_os().skip(1)).gid(USER).uid(USER).exec())
    };
    again().unwrap_or_else(|error| error)
}

/// What keeps this user from writing to a folder that is there or, where it is not, from making it.
fn refused(folder: &Path) -> Option<Problem> {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let nearest = whole.ancestors().find(|folder| folder.is_dir())?;
    let error = rustix::fs::access(nearest, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).err()?;
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let nearest = nearest.display();
    Some(Problem {
        wrong: format!(
            "user {user} cannot write to the data folder {}: {nearest}: {error}",
            folder.display()
        ),
        why: "there is nowhere to keep what producers send".into(),
        mend: format!(
            "on the host, chown -R {user}:{group} FOLDER, where FOLDER is what is mounted on {nearest}; or start the container \
             as root (without --user and user:), which gives the folder to user {USER} and then becomes that user"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, chown, symlink};

    fn giving(to: u32) -> Giving {
        Giving { to, given: 0, kept: 0, first_error: None }
    }

    fn owner(path: &Path) -> (u32, u32) {
        let metadata = fs::symlink_metadata(path).expect("it is there");
        (metadata.uid(), metadata.gid())
    }

    #[test]
    fn what_the_user_does_not_own_is_given_and_links_are_not_followed() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give files away");
            return;
        }
        let outside = tempfile::tempdir().expect("a temporary directory");
        let inside = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| inside.path().join(name);
        fs::create_dir_all(at("orders-0/deeper")).expect("made");
        for file in ["orders-0/log", "orders-0/deeper/log", "right"] {
            fs::write(at(file), "records").expect("written");
        }
        // Whose group was chosen by hand keeps it.
        chown(at("right"), Some(USER), Some(4321)).expect("root may");
        fs::write(outside.path().join("secret"), "").expect("written");
        symlink(outside.path(), at("a-folder-elsewhere")).expect("linked");
        symlink(outside.path().join("secret"), at("orders-0/a-file-elsewhere")).expect("linked");

        let mut first = giving(USER);
        first.folder_at(CWD, inside.path().as_os_str(), 0);
        assert_eq!((first.given, first.kept), (5, 0), "{:?}", first.first_error);
        for mine in [".", "orders-0", "orders-0/log", "orders-0/deeper", "orders-0/deeper/log"] {
            assert_eq!(owner(&at(mine)), (USER, USER), "{mine}");
        }
        assert_eq!(owner(&at("right")), (USER, 4321));
        for elsewhere in [outside.path(), &outside.path().join("secret"), &at("a-folder-elsewhere")] {
            assert_eq!(owner(elsewhere), (0, 0), "{}", elsewhere.display());
        }

        let mut again = giving(USER);
        again.folder_at(CWD, inside.path().as_os_str(), 0);
        assert_eq!((again.given, again.kept), (0, 0));
    }

    #[test]
    fn a_folder_that_is_a_link_and_one_that_lies_too_deep_are_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let link = folder.path().join("link");
        symlink("/", &link).expect("linked");
        let mut through = giving(USER);
        through.folder_at(CWD, link.as_os_str(), 0);
        assert_eq!((through.given, through.kept), (0, 1));

        let me = rustix::process::geteuid().as_raw();
        let deep: PathBuf = std::iter::repeat_n("d", DEPTH_MAX + 3).collect();
        fs::create_dir_all(folder.path().join("deep").join(deep)).expect("made");
        let mut down = giving(me);
        down.folder_at(CWD, folder.path().join("deep").as_os_str(), 0);
        assert_eq!((down.given, down.kept), (0, 1), "what is the user's own is not given again");
    }
}

//! The memory limit of this process: the smallest one of its control group and the groups above it, or none.

use std::path::{Path, PathBuf};

/// In bytes; `None` without a limit.
pub(super) fn of_this_process() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    smallest(Path::new("/sys/fs/cgroup"), &groups)
}

/// `groups` is the content of `/proc/self/cgroup`, `mount` the mount point of the groups.
fn smallest(mount: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let (root, path, file) = place(mount, line)?;
        // In a container the path may be the host's; then only the root group exists.
        let all = root.join(path);
        let above = all
            .ancestors()
            .take_while(|folder| folder.starts_with(&root));
        above.filter_map(|folder| limit(&folder.join(file))).min()
    });
    limits.min()
}

/// The mount point of the groups, the path below it, and the file with the limit.
fn place<'a>(mount: &Path, line: &'a str) -> Option<(PathBuf, &'a str, &'static str)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let path = path.trim_start_matches('/');
    match controllers {
        "" => Some((mount.to_owned(), path, "memory.max")),
        "memory" => Some((mount.join("memory"), path, "memory.limit_in_bytes")),
        _ => None,
    }
}

/// `max`, and the value of version 1 for "no limit", exceed the memory of any machine.
fn limit(file: &Path) -> Option<u64> {
    const NONE_FROM: u64 = 1 << 60;
    let text = std::fs::read_to_string(file).ok()?;
    text.trim().parse().ok().filter(|limit| *limit < NONE_FROM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(mount: &Path, file: &str, text: &str) {
        let file = mount.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    #[test]
    fn the_smallest_limit_of_a_group_and_those_above_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path();
        write(mount, "pods/memory.max", "268435456\n");
        write(mount, "pods/one/memory.max", "max\n");
        write(mount, "pods/small/memory.max", "134217728\n");
        assert_eq!(smallest(mount, "0::/pods/one\n"), Some(256 << 20));
        assert_eq!(smallest(mount, "0::/pods/small\n"), Some(128 << 20));
        assert_eq!(smallest(mount, "0::/\n"), None);
        assert_eq!(smallest(mount, "no line of a group\n"), None);
    }

    #[test]
    fn a_container_has_its_limit_at_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path();
        write(mount, "memory.max", "268435456\n");
        let of_the_host = "0::/system.slice/docker-0123.scope\n";
        assert_eq!(smallest(mount, of_the_host), Some(256 << 20));
    }

    #[test]
    fn the_first_version_of_control_groups_is_read_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path();
        let file = "memory/docker/one/memory.limit_in_bytes";
        write(mount, file, "268435456\n");
        write(
            mount,
            "memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        let groups = "12:cpu,cpuacct:/docker/one\n11:memory:/docker/one\n0::/docker/one\n";
        assert_eq!(smallest(mount, groups), Some(256 << 20));
        assert_eq!(smallest(mount, "11:memory:/\n"), None);
    }
}

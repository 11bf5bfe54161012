//! `tests/faults/overlay.patch`: it adds the abort points and the deliberate mistakes of the fault runs to a copy of the sources,
//! so that the product has none of them.
//!
//! The copy for the fault runs is laid out by [`build`]. `cargo xtask overlay edit` and `save` renew the patch.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::git::git;
use crate::tree;

const PATCH: &str = "tests/faults/overlay.patch";

/// Fails if the patch does not apply to the checkout, and says how to renew it.
pub(crate) fn check(root: &Path) -> Result<()> {
    let checked = git(root, &["apply", "--check", PATCH])?;
    ensure!(
        checked.ok,
        "{}{PATCH} does not apply to these sources. Renew it: `cargo xtask overlay edit`, resolve the conflicts that it names, \
         `cargo xtask overlay save`",
        checked.stderr
    );
    Ok(())
}

/// Applies the patch to the copy of the sources in `folder`.
pub(crate) fn apply(folder: &Path) -> Result<()> {
    let applied = git(folder, &["apply", "--whitespace=nowarn", PATCH])?;
    let Err(error) = applied.success("git apply") else {
        return Ok(());
    };
    bail!("{PATCH} does not apply: {error:#}. `cargo xtask overlay edit` renews it")
}

/// A repository with one commit, the checkout, and the patch on top of it. It can read the checkout's history, because a
/// three-way merge needs the files for which the patch was made.
pub(crate) fn edit(root: &Path, folder: &Path) -> Result<()> {
    ensure!(
        !folder.exists(),
        "{} is left from an earlier edit: save it with `cargo xtask overlay save`, or remove it",
        folder.display()
    );
    tree::copy(root, folder)?;
    git(folder, &["init", "--quiet"])?.success("git init")?;
    let objects = git(root, &["rev-parse", "--git-path", "objects"])?.success("git rev-parse")?;
    let objects = root.join(objects.trim());
    let alternates = folder.join(".git/objects/info/alternates");
    fs::write(alternates, format!("{}\n", objects.display()))?;
    git(folder, &["add", "--all", "--force"])?.success("git add")?;
    git(folder, COMMIT)?.success("git commit")?;

    let merged = git(folder, &["apply", "--3way", "--whitespace=nowarn", PATCH])?;
    eprint!("{}", merged.stderr);
    let place = folder.display();
    if merged.ok {
        eprintln!("edit {place}, then `cargo xtask overlay save`");
        return Ok(());
    }
    let conflicts =
        git(folder, &["diff", "--name-only", "--diff-filter=U"])?.success("git diff")?;
    if conflicts.is_empty() {
        // The history lacks the old files, so there is no three-way merge.
        let rejected = git(folder, &["apply", "--reject", "--whitespace=nowarn", PATCH])?;
        eprint!("{}", rejected.stderr);
    }
    eprintln!(
        "resolve the conflicts (markers, or files *.rej) in {place}, then `cargo xtask overlay save`"
    );
    Ok(())
}

const COMMIT: &[&str] = &[
    "-c",
    "user.name=xtask",
    "-c",
    "user.email=xtask@localhost",
    "-c",
    "commit.gpgSign=false",
    "commit",
    "--quiet",
    "--no-verify",
    "--message=the checkout",
];

pub(crate) fn save(root: &Path, folder: &Path) -> Result<()> {
    ensure!(
        folder.join(".git").exists(),
        "nothing to save: `cargo xtask overlay edit` comes first"
    );
    git(folder, &["add", "--all"])?.success("git add")?;
    let names = git(folder, &["diff", "--cached", "--name-only"])?.success("git diff")?;
    let rejected: Vec<&str> = names.lines().filter(|it| it.ends_with(".rej")).collect();
    ensure!(
        rejected.is_empty(),
        "apply these by hand and remove them: {}",
        rejected.join(", ")
    );
    let checked = git(folder, &["diff", "--cached", "--check"])?;
    let markers = checked.stdout.lines();
    let markers: Vec<&str> = markers
        .filter(|line| line.contains("conflict marker"))
        .collect();
    ensure!(markers.is_empty(), "{}", markers.join("\n"));

    let patch = git(folder, DIFF)?.success("git diff")?;
    ensure!(!patch.is_empty(), "the copy has no switch at all");
    fs::write(root.join(PATCH), patch)?;
    fs::remove_dir_all(folder)?;
    let applies = git(root, &["apply", "--check", PATCH])?;
    applies.success("the new patch")?;
    eprintln!("{PATCH} is written");
    Ok(())
}

/// The same text on every machine. The full ids of the files let a later three-way merge find them.
const DIFF: &[&str] = &[
    "-c",
    "diff.noprefix=false",
    "-c",
    "diff.mnemonicPrefix=false",
    "diff",
    "--cached",
    "--full-index",
    "--no-color",
    "--no-ext-diff",
    "--no-renames",
    "--",
    ".",
    ":(exclude)tests/faults/overlay.patch",
];

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A repository with one source and a patch for it.
    fn repository() -> Result<tempfile::TempDir> {
        let home = tempfile::tempdir()?;
        let root = home.path();
        git(root, &["init", "--quiet"])?.success("git init")?;
        fs::create_dir_all(root.join("tests/faults"))?;
        fs::write(root.join("engine"), "one\ntwo\nthree\n")?;
        commit(root)?;
        fs::write(root.join("engine"), "one\nswitch\ntwo\nthree\n")?;
        let patch = git(root, &["diff", "--full-index"])?.success("git diff")?;
        fs::write(root.join("engine"), "one\ntwo\nthree\n")?;
        fs::write(root.join(PATCH), patch)?;
        commit(root)?;
        Ok(home)
    }

    fn commit(root: &Path) -> Result<()> {
        git(root, &["add", "--all"])?.success("git add")?;
        git(root, COMMIT)?.success("git commit")?;
        Ok(())
    }

    fn edited(home: &tempfile::TempDir) -> PathBuf {
        home.path().join("target/overlay")
    }

    #[test]
    fn a_copy_inside_the_repository_gets_the_switches() -> Result<()> {
        let home = repository()?;
        let copy = home.path().join("target/copy");
        tree::copy(home.path(), &copy)?;
        apply(&copy)?;
        let engine = fs::read_to_string(copy.join("engine"))?;
        assert_eq!(engine, "one\nswitch\ntwo\nthree\n");
        Ok(())
    }

    #[test]
    fn a_patch_that_does_not_apply_names_the_way_to_renew_it() -> Result<()> {
        let home = repository()?;
        fs::write(home.path().join("engine"), "all\nis\nnew\n")?;
        let copy = home.path().join("target/copy");
        tree::copy(home.path(), &copy)?;
        let error = apply(&copy).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("cargo xtask overlay edit")));
        Ok(())
    }

    #[test]
    fn a_three_way_merge_renews_the_patch() -> Result<()> {
        let home = repository()?;
        // The context of the patch has changed, though not in the line where the switch goes.
        fs::write(home.path().join("engine"), "one\ntwo\nthree, changed\n")?;
        commit(home.path())?;
        let check = ["apply", "--check", PATCH];
        assert!(!git(home.path(), &check)?.ok);
        edit(home.path(), &edited(&home))?;
        save(home.path(), &edited(&home))?;
        assert!(git(home.path(), &check)?.ok);
        assert!(!edited(&home).exists());
        Ok(())
    }

    #[test]
    fn an_unresolved_conflict_is_not_saved() -> Result<()> {
        let home = repository()?;
        fs::write(home.path().join("engine"), "uno\ndos\ntres\n")?;
        commit(home.path())?;
        edit(home.path(), &edited(&home))?;
        let error = save(home.path(), &edited(&home)).err();
        assert!(error.is_some_and(|error| error.to_string().contains("conflict marker")));
        Ok(())
    }
}

//! Directories as a whole.

use super::*;
use crate::yaml::diagnostic::lines;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

fn read(folder: &tempfile::TempDir) -> (Option<Bundle>, Vec<String>) {
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let bundle = read_bundle(folder.path(), &mut files, &mut problems);
    (bundle, lines(&problems, &files))
}

const STEPS: &[u8] = b"name: a\nsteps: [{ name: x, run: [ls] }]\n";

#[test]
fn a_directory_without_settings_or_at_all_is_refused() {
    let (bundle, problems) = read(&folder(&[("pipelines/a.yaml", STEPS)]));
    assert!(bundle.is_some_and(|bundle| bundle.unread.settings));
    assert_eq!(problems, ["there is no `paramd.yaml` in the directory"]);
    let (mut files, mut problems) = (Files::default(), Problems::default());
    assert!(read_bundle(Path::new("/nowhere"), &mut files, &mut problems).is_none());
    assert!(problems.has_errors());
}

#[test]
fn empty_settings_have_defaults_and_no_pipeline_is_a_warning() {
    let folder =
        folder(&[("paramd.yaml", b""), ("global.yaml", b"{}"), ("environments/dev.yaml", b"")]);
    let (bundle, problems) = read(&folder);
    assert_eq!(problems, ["warning: there is no file in `pipelines/`"]);
    let bundle = bundle.unwrap();
    assert_eq!(bundle.settings.store, folder.path().join("state/paramd.db"));
    assert_eq!(bundle.environments.len(), 1);
    assert!(bundle.global.is_some());
}

#[test]
fn a_broken_file_hides_no_other() {
    let (bundle, problems) = read(&folder(&[
        ("paramd.yaml", b"{}"),
        ("environments/dev.yaml", b"valus: {}"),
        ("pipelines/a.yaml", STEPS),
        ("pipelines/b.yaml", b"name: b\nstep: []"),
        ("pipelines/c.yaml", b"\xff"),
        ("pipelines/d.yaml", b"a: [\n"),
        ("pipelines/e.yml", b""),
        ("pipelines/F.yaml", b""),
        ("pipelines/.hidden.yaml", b"x"),
        ("pipelines/README.md", b"x"),
    ]));
    let bundle = bundle.unwrap();
    assert_eq!(bundle.pipelines.len(), 2);
    assert!(bundle.unread.pipelines && !bundle.unread.settings && !bundle.unread.global);
    assert!(!bundle.environments["dev"].sound);
    assert_eq!(
        problems,
        [
            "environments/dev.yaml:1:1: `valus` isn't a key of a layer",
            "pipelines/F.yaml:1:1: the file's name is not the name of a pipeline: 1 to 63 of `a-z 0-9 -`, a letter or digit first",
            "pipelines/b.yaml:2:1: `step` isn't a key of a pipeline",
            "pipelines/c.yaml:1:1: not UTF-8 from byte 1 on",
            "pipelines/d.yaml:1:4: the bracket isn't closed",
            "pipelines/e.yml:1:1: files of definitions end in `.yaml`",
        ]
    );
}

#[test]
fn the_hash_names_paths_and_contents() {
    let files: &[(&str, &[u8])] = &[("paramd.yaml", b"{}"), ("pipelines/a.yaml", STEPS)];
    let hash = |files| read(&folder(files)).0.unwrap().sha256;
    let first = hash(files);
    assert_eq!(first.len(), 64);
    assert_eq!(hash(files), first);
    assert_ne!(hash(&[("paramd.yaml", b"{} "), ("pipelines/a.yaml", STEPS)]), first);
    assert_ne!(
        hash(&[("paramd.yaml", b"{}"), ("pipelines/a.yaml", STEPS), ("global.yaml", b"")]),
        first
    );
}

#[test]
fn a_file_over_a_mebibyte_is_refused() {
    let large = vec![b'#'; (1 << 20) + 1];
    let (bundle, problems) = read(&folder(&[("paramd.yaml", &large), ("pipelines/a.yaml", STEPS)]));
    assert!(bundle.is_some_and(|bundle| bundle.unread.settings));
    assert_eq!(problems, ["paramd.yaml:1:1: the file has more than 1 MiB"]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_to_regular_files_only() {
    let folder = folder(&[("real.yaml", b"{}"), ("pipelines/a.yaml", STEPS)]);
    std::os::unix::fs::symlink("real.yaml", folder.path().join("paramd.yaml")).unwrap();
    assert!(read(&folder).1.is_empty());
    std::fs::create_dir(folder.path().join("global.yaml")).unwrap();
    assert_eq!(read(&folder).1, ["global.yaml:1:1: not a regular file"]);
}

//! Sources of this machine when ill: files, databases in files, variables.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use super::{VALUE, WORDS, Ward, all_is_well, pipeline};
use crate::support::config::{Config, database};
use crate::support::disk::{Disk, Fate, READ};

/// What `read` gives of a broken disk.
const EIO: i32 = 5;
/// Longer than one try may take, in milliseconds.
const HANGS: i64 = 6_000;

#[tokio::test(flavor = "multi_thread")]
async fn ill_sources_of_this_machine() {
    let (variables, files, databases) = tokio::join!(variables(), files(), databases());
    all_is_well(&[variables, files, databases]);
}

fn list() -> String {
    format!("[{}1]", "1, ".repeat(10_000))
}

async fn variables() -> Vec<String> {
    let source = "  ill: { env: { names: [GOOD, BYTES, NONE, CUT, MANY] }, grants: [{ pipelines: [\"*\"] }] }\n";
    let config = Config::new(source, "unused", UNUSED);
    for [name, kind, variable, default] in [
        ["ill", "string", "GOOD", "x"],
        ["bytes", "string", "BYTES", "x"],
        ["absent", "string", "NONE", "x"],
        ["number", "integer", "GOOD", "7"],
        ["many", LIST, "MANY", "[]"],
        ["cut", LIST, "CUT", "[]"],
    ] {
        let from = format!("{{ env: {{ name: {variable} }} }}, default: {default}");
        config.write(&format!("pipelines/{name}.yaml"), pipeline(name, kind, &from));
    }
    let mut ward = Ward::open("Variables", config, None, |launch| {
        let bytes = [WORDS.as_bytes(), b"\xff"].concat();
        let launch = launch.env("GOOD", VALUE).env("CUT", "[1, 2").env("MANY", &list());
        launch.raw_env("BYTES", OsString::from_vec(bytes))
    })
    .await;
    for (how, pipeline) in [
        ("not set", "absent"),
        ("bytes", "bytes"),
        ("text that is no integer", "number"),
        ("a list of 10,001 items", "many"),
        ("a list that is cut off", "cut"),
    ] {
        ward.recovers().await;
        ward.check(how, pipeline).await;
    }
    ward.close().await
}

const UNUSED: &str = "name: unused\nparameters: {}\n";
const LIST: &str = "array, items: { type: integer }";

/// Makes the files, of which some aren't files.
fn lay_out(config: &Config, files: &Path) {
    config.write("files/good", VALUE);
    config.write("files/bytes", [WORDS.as_bytes(), b"\xff"].concat());
    config.write("files/large", VALUE.repeat(100_000));
    config.write("files/many", list());
    config.write("files/folder/inside", VALUE);
    config.write("outside", VALUE);
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, files.join(name)).unwrap();
    link("../outside", "out");
    link("loop", "loop");
    let pipe = files.join("pipe");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, pipe, kind, mode, 0).unwrap();
}

async fn files() -> Vec<String> {
    let source =
        "  ill: { file: { root: files }, grants: [{ pipelines: [\"*\"], paths: [\"*\"] }] }\n";
    let config = Config::new(source, "unused", UNUSED);
    for [name, kind, path, default] in [
        ["ill", "string", "good", "x"],
        ["absent", "string", "absent", "x"],
        ["bytes", "string", "bytes", "x"],
        ["number", "integer", "good", "7"],
        ["many", LIST, "many", "[]"],
        ["large", "string", "large", "x"],
        ["folder", "string", "folder", "x"],
        ["pipe", "string", "pipe", "x"],
        ["out", "string", "out", "x"],
        ["loop", "string", "loop", "x"],
    ] {
        let from = format!("{{ file: {{ path: {path} }} }}, default: {default}");
        config.write(&format!("pipelines/{name}.yaml"), pipeline(name, kind, &from));
    }
    let files = config.path.join("files");
    lay_out(&config, &files);
    let mut disk = None;
    let mut ward = Ward::open("Files", config, None, |launch| {
        let (below, launch) = Disk::below(launch);
        disk = Some(below);
        launch
    })
    .await;
    for (how, pipeline) in [
        ("no such file", "absent"),
        ("bytes for a text", "bytes"),
        ("text that is no integer", "number"),
        ("a list of 10,001 items", "many"),
        ("2.7 MB", "large"),
        ("a folder", "folder"),
        ("a pipe without a writer, which isn't waited for", "pipe"),
        ("a link that leads out of `root`", "out"),
        ("a link to itself", "loop"),
    ] {
        ward.recovers().await;
        ward.check(how, pipeline).await;
    }
    let gone = ward.config.path.join("unmounted");
    std::fs::rename(&files, &gone).unwrap();
    ward.check("`root` is gone", "ill").await;
    std::fs::write(&files, WORDS).unwrap();
    ward.check("`root` is a file", "ill").await;
    std::fs::remove_file(&files).unwrap();
    std::fs::rename(&gone, &files).unwrap();
    ill_disk(&mut ward, &disk.unwrap()).await;
    ward.close().await
}

async fn ill_disk(ward: &mut Ward, disk: &Disk) {
    for (how, fate) in
        [("reading fails (`EIO`)", Fate::Fail(EIO)), ("the disk hangs", Fate::Wait(HANGS))]
    {
        ward.recovers().await;
        disk.falls_ill(READ, 0, fate);
        ward.check(how, "ill").await;
        disk.heals();
        assert!(disk.happened() > 0, "the disk was ill");
    }
}

const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n where i < 0";

async fn databases() -> Vec<String> {
    let source = "  ill: { sql: { url: \"sqlite:ill.db\", timeout: 1s, max_rows: 3 }, grants: [{ pipelines: [\"*\"] }] }\n";
    let config = Config::new(source, "unused", UNUSED);
    let good = "select v from t where n = 1";
    for [name, kind, query, default] in [
        ["ill", "string", good, "x"],
        ["absent", "string", "select v from t where n = 0", "x"],
        ["moved", "string", "select v from elsewhere", "x"],
        ["more", "string", "select name from pragma_database_list", "x"],
        ["bytes", "string", "select cast(x'ff' as text) as v", "x"],
        ["number", "integer", good, "7"],
        ["two", "string", "select v from t where n < 3", "x"],
        ["rows", "string", "select v from t", "x"],
        ["large", "string", "select v || hex(zeroblob(1000000)) from t", "x"],
        ["endless", "integer", ENDLESS, "7"],
    ] {
        let from = format!("{{ sql: {{ from: ill, query: \"{query}\" }} }}, default: {default}");
        config.write(&format!("pipelines/{name}.yaml"), pipeline(name, kind, &from));
    }
    let file = config.path.join("ill.db");
    let rows = format!("insert into t values (1, '{VALUE}'), (2, 'b'), (3, 'c'), (4, '{WORDS}')");
    database(&file, &format!("create table t (n integer, v text); {rows}"));
    let mut disk = None;
    let mut ward = Ward::open("SQLite", config, None, |launch| {
        let (below, launch) = Disk::below(launch);
        disk = Some(below);
        launch
    })
    .await;
    for (how, pipeline) in [
        ("no row", "absent"),
        ("no such table", "moved"),
        ("the query would do more than read", "more"),
        ("bytes as text", "bytes"),
        ("text that is no integer", "number"),
        ("two where one is asked for", "two"),
        ("more than `max_rows`", "rows"),
        ("a text of 2 MB", "large"),
        ("a query that never ends", "endless"),
    ] {
        ward.recovers().await;
        ward.check(how, pipeline).await;
    }
    ill_file(&mut ward, &file).await;
    ill_disk(&mut ward, &disk.unwrap()).await;
    ward.close().await
}

/// The database's file is locked, changed and gone.
async fn ill_file(ward: &mut Ward, file: &Path) {
    let holder = rusqlite::Connection::open(file).unwrap();
    holder.execute_batch("begin exclusive").unwrap();
    ward.check("another keeps it locked", "ill").await;
    holder.execute_batch("rollback").unwrap();
    drop(holder);
    let kept = std::fs::read(file).unwrap();
    let zeros = [&kept[..4_096], &vec![0; kept.len() - 4_096]].concat();
    for (how, bytes) in [
        ("cut short by a page", kept[..4_096].to_vec()),
        ("cut short inside of a page", kept[..5_000].to_vec()),
        ("no database at all", WORDS.repeat(1_000).into_bytes()),
        ("empty", Vec::new()),
        ("zeros in its pages", zeros),
    ] {
        std::fs::write(file, bytes).unwrap();
        ward.check(how, "ill").await;
    }
    std::fs::remove_file(file).unwrap();
    ward.check("the file is gone", "ill").await;
    std::fs::create_dir(file).unwrap();
    ward.check("a folder in its place", "ill").await;
    std::fs::remove_dir(file).unwrap();
    std::fs::write(file, kept).unwrap();
}

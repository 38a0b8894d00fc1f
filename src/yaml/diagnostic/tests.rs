//! How problems look.

use super::*;

fn one(text: &str, span: Range<usize>) -> (Problems, Files) {
    let mut files = Files::default();
    let file = files.add("pipelines/a.yaml".to_owned(), text.into());
    let mut problems = Problems::default();
    problems.error("some_code", &Place { file, span }, "is wrong").help("mend it");
    (problems, files)
}

#[test]
fn a_problem_shows_file_line_column_mark_and_help() {
    let text = "name: a\nsteps:\n  - né: x\n";
    let at = text.find("né").unwrap();
    let (problems, files) = one(text, at..at + 3);
    let shown = render(&problems, &files, false, 80);
    assert!(shown.contains("pipelines/a.yaml:3:5"), "{shown}");
    assert!(shown.contains("  - né: x"), "{shown}");
    assert!(shown.contains("help: mend it"), "{shown}");
    assert!(!shown.contains('\u{1b}'));
    assert!(render(&problems, &files, true, 80).contains('\u{1b}'));
    assert_eq!(lines(&problems, &files), ["pipelines/a.yaml:3:5: is wrong"]);
    let json = json(&problems, &files);
    assert_eq!(json[0]["file"], "pipelines/a.yaml");
    assert_eq!((&json[0]["line"], &json[0]["column"]), (&3.into(), &5.into()));
    assert_eq!((&json[0]["end_line"], &json[0]["end_column"]), (&3.into(), &7.into()));
}

#[test]
fn a_sensitive_line_keeps_its_keys_and_no_scalar() {
    for text in [
        "password: hunter2",
        "- hunter2",
        "{ password: 'hunter2', other: \"a, hunter2: b\" }",
        "password: \"x hunter2: y",
        "password: hunter2: y",
        "password: |\n  hunter2: x\n",
        "password: x # hunter2",
        "# hunter2\na: x # hunter2\n# hunter2",
        "{ password: a, hunter2 }",
        "? hunter2",
        "password: &hunter2 x",
        "password: *hunter2",
        "password: !hunter2 x",
    ] {
        for start in 0..text.len() {
            let (mut problems, files) = one(text, start..text.len());
            problems.list[0].sensitive();
            let shown = render(&problems, &files, false, 80);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
    let (mut problems, files) = one("{ password: 'hunter2', n: 1 }", 12..21);
    problems.list[0].sensitive();
    let shown = render(&problems, &files, false, 80);
    assert!(shown.contains("{ password: *********, n: * }"), "{shown}");
}

proptest::proptest! {
    /// Without a colon behind it, no damage can turn a value into a key.
    #[test]
    fn no_damage_brings_a_value_to_light(at in 0..60_usize, put in "[ -9;-~\n\t]{0,4}", style in 0..6_usize) {
        let value = ["hunter2", "'hunter2'", "\"hunter2\"", "|\n  hunter2", "[hunter2, hunter2]", "{ b: hunter2 }"][style];
        let mut text = format!("a: 1\npassword: {value}\n# hunter2\nc: hunter2 # hunter2\n");
        let at = at.min(text.len());
        if !text.get(..at).unwrap().ends_with(['h', 'u', 'n', 't', 'e', 'r']) {
            text.insert_str(at, &put);
        }
        let mut files = Files::default();
        let file = files.add("a.yaml".to_owned(), text.as_str().into());
        let mut problems = Problems::default();
        for start in 0..text.len() {
            problems.error("code", &Place { file, span: start..start + 1 }, "wrong").sensitive();
        }
        let shown = render(&problems, &files, false, 200);
        proptest::prop_assert!(!shown.contains("hunter2"), "{}", shown);
    }
}

#[test]
fn one_sensitive_problem_blanks_its_line_for_all() {
    let (mut problems, files) = one("vault: { token: hunter2 }", 7..25);
    let place = Place { file: FileId(0), span: 16..23 };
    problems.error("literal", &place, "never written here").sensitive();
    assert!(!render(&problems, &files, false, 80).contains("hunter2"));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let (mut problems, files) = one("a: \u{1b}[2Jx\u{202e}", 3..4);
    problems.list[0].message = "bad `\u{1b}`".to_owned();
    let shown = render(&problems, &files, false, 80);
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
    assert!(!lines(&problems, &files)[0].contains('\u{1b}'));
}

#[test]
fn problems_come_in_the_order_of_files_and_places_and_once() {
    let mut files = Files::default();
    let b = files.add("b.yaml".to_owned(), "x: 1\ny: 2".into());
    let a = files.add("a.yaml".to_owned(), "x: 1".into());
    let mut problems = Problems::default();
    for (file, at) in [(b, 5), (b, 0), (a, 0), (b, 5)] {
        problems.error("code", &Place { file, span: at..at + 1 }, "wrong");
    }
    problems.error_without_place("missing", "no directory");
    assert_eq!(
        lines(&problems, &files),
        ["no directory", "a.yaml:1:1: wrong", "b.yaml:1:1: wrong", "b.yaml:2:1: wrong"]
    );
}

#[test]
fn what_follows_from_a_refused_scalar_is_not_told_again() {
    let (mut problems, files) = one("a: .nan", 3..7);
    let place = problems.list[0].place.clone().unwrap();
    problems.error("yaml_number", &place, "a number must be finite");
    assert_eq!(lines(&problems, &files), ["pipelines/a.yaml:1:4: a number must be finite"]);
}

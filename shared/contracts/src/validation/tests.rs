//! What each rule refuses, and how it says so.

use super::*;

fn found(check: impl FnOnce(&mut Findings)) -> Vec<String> {
    let mut findings = Findings::default();
    check(&mut findings);
    let found = findings.found.into_iter();
    found
        .map(|one| format!("{} {}", one.field, one.description))
        .collect()
}

#[test]
fn text_is_measured_in_characters_and_its_limits_are_taken() {
    for (text, min, max) in [("ßß", 2, 2), ("🫖", 1, 1), ("", 0, 5), ("abc", 0, u64::MAX)] {
        assert!(found(|it| it.text("a", text, min, max, Form::Any)).is_empty());
    }
    for (text, min, max, said) in [
        ("", 1, 5, "a is required"),
        ("", 8, 9, "a must have from 8 to 9 characters"),
        ("ßßß", 1, 2, "a must have from 1 to 2 characters"),
        ("ß", 2, 2, "a must have exactly 2 characters"),
        ("ßßß", 0, 2, "a must have at most 2 characters"),
        ("ß", 2, u64::MAX, "a must have at least 2 characters"),
    ] {
        assert_eq!(found(|it| it.text("a", text, min, max, Form::Any)), [said]);
    }
}

#[test]
fn control_characters_are_refused_except_breaks_and_tabs() {
    let said = |text: &str, form| found(|it| it.text("a", text, 0, u64::MAX, form));
    let in_line = ["a must have no control characters, such as line breaks"];
    let in_lines = ["a must have no control characters but line breaks and tabs"];
    for text in ["", "Ada Lovelace", "ß🫖", "a\u{2028}b"] {
        assert_eq!(said(text, Form::OneLine), [""; 0], "{text:?}");
        assert_eq!(said(text, Form::Lines), [""; 0], "{text:?}");
    }
    for text in ["a\nb", "a\r\n", "\t"] {
        assert_eq!(said(text, Form::OneLine), in_line, "{text:?}");
        assert_eq!(said(text, Form::Lines), [""; 0], "{text:?}");
    }
    for text in ["\n Ada Lovelace\t", " \r\n", "Ada"] {
        assert_eq!(said(text, Form::PaddedLine), [""; 0], "{text:?}");
    }
    for text in ["Ada\nLovelace", "Ada\0", " \u{7} "] {
        assert_eq!(said(text, Form::PaddedLine), in_line, "{text:?}");
    }
    for text in ["a\0", "\u{7}", "\u{1b}[31m", "\u{7f}", "a\u{85}b"] {
        assert_eq!(said(text, Form::OneLine), in_line, "{text:?}");
        assert_eq!(said(text, Form::Lines), in_lines, "{text:?}");
    }
}

#[test]
fn a_uuid_has_its_hyphens_and_nothing_else() {
    let uuid = "01890a5d-ac96-774b-bcce-B302099A8057";
    assert!(found(|it| it.text("a", uuid, 0, u64::MAX, Form::Uuid)).is_empty());
    let simple = uuid.replace('-', "");
    let braced = format!("{{{uuid}}}");
    let shifted = uuid.replace("d-a", "-da");
    for text in [
        "",
        "ada",
        &simple,
        &braced,
        &shifted,
        &uuid.replace('a', "g"),
    ] {
        assert_eq!(
            found(|it| it.text("a", text, 0, u64::MAX, Form::Uuid)).len(),
            1,
            "{text}"
        );
    }
}

#[test]
fn bytes_numbers_and_lists_keep_to_their_bounds() {
    assert_eq!(found(|it| it.bytes("a", b"", 1, 4)), ["a is required"]);
    let five = found(|it| it.bytes("a", b"12345", 1, 4));
    assert_eq!(five, ["a must have from 1 to 4 bytes"]);
    for (value, min, max, said) in [
        (-1, Some(0), None, "a must not be negative"),
        (0, Some(1), None, "a must be at least 1"),
        (9, None, Some(8), "a must be at most 8"),
        (0, Some(1), Some(8), "a must be from 1 to 8"),
    ] {
        assert_eq!(found(|it| it.number("a", value, min, max)), [said]);
    }
    assert!(found(|it| it.number("a", 8, Some(8), Some(8))).is_empty());
    assert_eq!(
        found(|it| it.list("a", 0, 1, 3)),
        ["a must have from 1 to 3 elements"]
    );
    assert!(found(|it| it.list("a", 3, 1, 3)).is_empty());
}

#[test]
fn the_number_of_reported_mistakes_is_bounded() {
    let numbers = |it: &mut Findings| {
        for index in 0..10_000 {
            it.number(&format!("a[{index}]"), -1, Some(0), None);
        }
    };
    assert_eq!(found(numbers).len(), MOST);
}

#[test]
fn a_choice_is_one_of_the_names_that_it_lists() {
    let allowed = [(1, "STATE_ON"), (2, "STATE_OFF")];
    assert!(found(|it| it.choice("a", 2, &allowed)).is_empty());
    for value in [0, 3, -1] {
        let found = found(|it| it.choice("a", value, &allowed));
        assert_eq!(found, ["a must be one of STATE_ON, STATE_OFF"]);
    }
}

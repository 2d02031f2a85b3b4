//! The README's first command, as whoever pipes it sees it.

use std::process::Command;

#[test]
fn the_story_ends_well_and_fits_in_80_columns() {
    let mut story = Command::new(env!("CARGO_BIN_EXE_simulator"));
    let output = story.args(["--accounts", "60", "--latency", "0"]).env("COLUMNS", "80").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let too_long: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
    assert!(!text.contains('\u{1b}'), "colours or a progress bar in a pipe: {text}");
    for part in ["Stripped", "DeniedByMemberServiceControlPolicy", "with ExemptAssumeRoot)", "All of it holds"] {
        assert!(text.contains(part), "without `{part}`: {text}");
    }
}

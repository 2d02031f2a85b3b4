//! The README's first command, as whoever pipes it sees it.

use std::path::Path;
use std::process::Command;

#[test]
fn the_story_ends_well_and_fits_in_80_columns() {
    let mut story = Command::new(env!("CARGO_BIN_EXE_simulator"));
    let evidence = Path::new(env!("CARGO_TARGET_TMPDIR")).join("story-evidence");
    let _ = std::fs::remove_dir_all(&evidence);
    story.args(["--accounts", "60", "--latency", "0", "--evidence"]).arg(&evidence).env("COLUMNS", "80");
    let output = story.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let too_long: Vec<_> =
        text.lines().filter(|line| line.chars().count() > 80 && !line.starts_with("  file://")).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
    assert!(!text.contains('\u{1b}'), "colours or a progress bar in a pipe: {text}");
    for part in [
        "Stripped",
        "told            severity High: Root session in team-green (900000011111) not",
        "Policy:IAMUser/RootCredentialUsage in 222233334444,",
        "\"UNROOT: Root user of team-green (900000011111) called CreateAccessKey\"",
        "change          iam:DeleteLoginProfile\n                  iam:DeleteAccessKey\n                  iam:Deactivate",
        "2 Root Activity Detected: 2 mailed",
        "no root session was opened because of another",
        "DeniedByMemberServiceControlPolicy",
        "with ExemptAssumeRoot)",
        "All of it holds",
    ] {
        assert!(text.contains(part), "without `{part}`: {text}");
    }
    let report = std::fs::read_to_string(evidence.join("report.html")).unwrap();
    assert!(report.contains("DeniedByMemberServiceControlPolicy"), "{report}");
    let address = text.lines().find(|line| line.starts_with("  file:///")).unwrap();
    assert!(address.ends_with("/story-evidence/report.html"), "{address}");
}

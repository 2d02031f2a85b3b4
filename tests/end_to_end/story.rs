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
    // What is to be opened or copied is never wrapped.
    let is_verbatim = |line: &&str| line.starts_with("  file://") || line.starts_with("  aws s3 cp s3://");
    let too_long: Vec<_> = text.lines().filter(|line| line.chars().count() > 80 && !is_verbatim(line)).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
    assert!(!text.contains('\u{1b}'), "colours or a progress bar in a pipe: {text}");
    for part in [
        "Stripped",
        "told            severity High: Root session in team-green (900000011111) not",
        "Policy:IAMUser/RootCredentialUsage in 222233334444,",
        "\"UNROOT: Root user of team-green (900000011111) called CreateAccessKey\"",
        "change          iam:DeleteLoginProfile\n                  iam:DeleteAccessKey\n                  iam:Deactivate",
        "answer          RecoveryOpened: the root user has a login profile, so its\n",
        "(444455558888)\n                  asked to recover the password, in its recovery window\n",
        "mailed          nothing\n  audit           NotCovered: in a recovery window until",
        "mailed          Root password recovery is closed in payments (444455558888)",
        "refused         webshop-images: the policy of the bucket webshop-images\n                  locks nobody out",
        "answer          BucketPolicyRemoved: the bucket webshop-orders was read\n",
        "put-bucket-policy --region eu-west-1 --bucket webshop-orders --policy file://policy.json\n",
        "3 Root Activity Detected: 2 mailed, 1 in a recovery window",
        "3 Root Task Performed: 3 mailed",
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

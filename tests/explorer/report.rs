//! What a person sees: the figures, one run from beginning to end, and the smallest one that fails.

use std::collections::BTreeMap;

use crate::command_of;
use crate::known::{Kept, broken_promises};
use crate::play::{Figures, Played, play};
use crate::promises::{Promise, check};
use crate::scenario::Scenario;

/// The seeds whose runs are compared with themselves.
const REPEATED: [u64; 3] = [1, 2, 3];

/// The figures that CI prints and the documentation shows.
pub(crate) fn figures(runs: u64, figures: Figures, known: &BTreeMap<Promise, u64>, is_broken: bool) {
    let Figures { calls, faults_hit, accidents, invocations, simulated_seconds } = figures;
    println!(
        "explored {runs} runs: {calls} calls to AWS in {invocations} invocations, {faults_hit} faults hit, {accidents} crashes, \
         panics and lost answers, {} simulated hours, {} promises checked after each run, broken: {}",
        simulated_seconds / 3_600,
        Promise::ALL.len(),
        u8::from(is_broken),
    );
    for (promise, times) in known {
        println!("  known to be broken: {promise:?}, {times} times");
    }
}

/// Returns whether the same seed gives the same run, to the byte.
pub(crate) fn repeats() -> bool {
    REPEATED.into_iter().all(|seed| {
        let scenario = Scenario::of(seed);
        let (first, second) = (play(&scenario).to_text(), play(&scenario).to_text());
        let difference = first.lines().zip(second.lines()).find(|(first, second)| first != second);
        if let Some((first, second)) = difference {
            println!("seed {seed} gives another run each time:\n< {first}\n> {second}");
        }
        first == second
    })
}

/// Plays a run and shows it. Returns whether all promises hold.
pub(crate) fn replay(scenario: &Scenario) -> bool {
    let played = play(scenario);
    println!("{}", serde_json::to_string_pretty(scenario).expect("JSON"));
    for line in timeline(&played) {
        println!("{line}");
    }
    let broken = check(scenario, &played);
    println!("{:?}", played.figures);
    for broken in &broken {
        println!("broken: {broken}");
    }
    broken.is_empty()
}

/// Makes the run smaller, and says how to keep what is left. Returns false, since it breaks a promise.
pub(crate) fn shrink(scenario: &Scenario) -> bool {
    let broken = check(scenario, &play(scenario));
    let known = broken_promises();
    let news = broken.iter().find(|broken| !known.contains(&broken.promise));
    let Some(first) = news.or(broken.first()) else {
        println!("all promises hold: there is nothing to shrink");
        return true;
    };
    println!("leaving out what breaking {:?} does not need ..", first.promise);
    let smallest = crate::shrink::shrink(scenario, first.promise);
    let broken = check(&smallest, &play(&smallest));
    let why = broken.iter().find(|broken| broken.promise == first.promise).map(ToString::to_string).unwrap_or_default();
    let kept = Kept { promise: first.promise, why, scenario: smallest };
    println!("{}", serde_json::to_string_pretty(&kept).expect("JSON"));
    println!("the whole run: {}", command_of(scenario));
    println!("once it is fixed, this file belongs into tests/explorer/corpus");
    false
}

/// Everything that happened, in order, a line each.
fn timeline(played: &Played) -> Vec<String> {
    let mut lines = Vec::new();
    for call in played.aws.calls() {
        let who = call.caller.rsplit(['/', ':']).next().unwrap_or_default();
        let task =
            call.input["TaskPolicyArn"]["arn"].as_str().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
        let opened = call.opened.as_deref().unwrap_or_default();
        let key = if call.caller.ends_with(":root") { call.access_key_id.as_str() } else { "" };
        lines.push((
            call.at,
            format!("{who:32} {} {} {task} {opened}{key} {:?}", call.action(), call.account, call.outcome),
        ));
    }
    for asked in &played.asked {
        lines.push((asked.at, format!("ASKED    {:?}", asked.request)));
        let answer = match &asked.answer {
            Ok(answer) => format!("{} {}", answer["action"], answer["verified"]),
            Err(error) => error.clone(),
        };
        lines.push((asked.answered, format!("ANSWERED {:?}: {answer}", asked.request)));
    }
    for deed in &played.deeds {
        lines.push((deed.at, format!("ROOT     {} in {}", deed.name, deed.account)));
    }
    for (at, event) in played.announced() {
        let detail = &event["detail"];
        let action = detail["task"]["action"].as_str().unwrap_or_default();
        let said = |name: &str| {
            let steps = detail[name].as_array().filter(|steps| !steps.is_empty());
            steps.map_or_else(String::new, |_| format!(" {name} {}", detail[name]))
        };
        let headline = detail["headline"].as_str().unwrap_or_default();
        lines.push((at, format!("EVENT    {headline} {action}{}{}", said("removed"), said("attempted"))));
    }
    lines.sort_by_key(|(at, _)| *at);
    let time = time::macros::format_description!("[day] [hour]:[minute]:[second].[subsecond digits:3]");
    lines.into_iter().map(|(at, line)| format!("{} {line}", at.format(time).unwrap_or_default())).collect()
}

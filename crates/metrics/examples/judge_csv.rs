//! Judges a CSV of scored generations: mean, tail and quantile curve, each with the numbers to
//! trust it by.
//!
//! `cargo run --release -p tailguard-metrics --example judge_csv -- FILE THRESHOLD`, where FILE has
//! a header line and then `prompt_score,reward` per line. Without arguments it judges a few
//! built-in lines.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::{env, error::Error, fs};

use tailguard_metrics::{Scale, buckets, curve, mean, mean_of_lowest, mean_over_seeds, tail};

const SAMPLE: &str = "prompt_score,reward\n-3.2,-1.9\n0.4,1.1\n-2.7,-0.8\n1.9,2.4\n-0.3,0.2\n\
    2.8,2.6\n-1.1,0.9\n0.8,0.7\n";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let text = arguments.next().map_or_else(|| Ok(SAMPLE.to_owned()), fs::read_to_string)?;
    let threshold: f64 = arguments.next().map_or(Ok(-2.5), |threshold| threshold.parse())?;

    let (mut scores, mut rewards) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().skip(1) {
        let (score, reward) = line
            .split_once(',')
            .ok_or_else(|| format!("line {}: expected two columns", number + 1))?;
        scores.push(score.trim().parse::<f64>()?);
        rewards.push(reward.trim().parse::<f64>()?);
    }

    // a line is a prompt
    let by_prompt = rewards.iter().copied().enumerate().collect();
    let interval = mean_over_seeds(&[by_prompt], Scale::Any)?.and_then(|figure| figure.ci95);
    let interval = interval
        .map_or_else(String::new, |[low, high]| format!("  95 % interval {low:.3} to {high:.3}"));
    println!("reward  {:6.3}{interval}", mean(&rewards)?);
    let tail = tail(&rewards, &scores, threshold)?;
    println!(
        "tail    {:6.3}  {} prompts score {threshold} or less",
        tail.mean.unwrap_or(f64::NAN),
        tail.count
    );
    let worst = rewards.len().div_ceil(4);
    println!(
        "worst   {:6.3}  mean of the {worst} lowest rewards",
        mean_of_lowest(&rewards, worst)?
    );
    for point in curve(&rewards, &scores, [25, 50, 75, 100])? {
        println!(
            "{:5} % {:6.3}  lowest prompts: {}",
            point.percent,
            point.mean.unwrap_or(f64::NAN),
            point.count
        );
    }
    for bucket in buckets(&rewards, &scores, 2.min(rewards.len()))? {
        println!(
            "bucket  {:6.3}  {} prompts that score {:.3}",
            bucket.reward, bucket.count, bucket.prompt_score
        );
    }
    Ok(())
}

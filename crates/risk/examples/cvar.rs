//! How a batch of returns looks at several risk levels, and which episodes a risk-averse learner
//! would keep.
//!
//! Run with `cargo run --release -p tailguard-risk --example cvar`.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use tailguard_risk::{Measure, RiskAversion, RiskError, RiskLevel, RiskMeasure, lowest, quantile};

fn main() -> Result<(), RiskError> {
    let returns = [0.8, -0.2, 1.4, -3.1, 0.5, 0.9, -1.0, 2.2, 0.1, -0.6];
    println!("mean              {:6.3}", Measure::Mean.value(&returns)?);
    println!(
        "entropic, 1       {:6.3}",
        Measure::Entropic(RiskAversion::new(1.0)?).value(&returns)?
    );
    println!("\nalpha  quantile    CVaR  episodes kept");
    for alpha in [0.1, 0.2, 0.4, 1.0] {
        let level = RiskLevel::new(alpha)?;
        let kept = lowest(&returns, level.count(returns.len()))?;
        let (quantile, cvar) = (quantile(&returns, level)?, Measure::Cvar(level).value(&returns)?);
        println!("{alpha:5.2}  {quantile:8.3}  {cvar:6.3}  {kept:?}");
    }
    Ok(())
}

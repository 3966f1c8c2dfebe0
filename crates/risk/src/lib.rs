//! tailguard-risk

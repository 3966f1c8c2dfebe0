//! tailguard-rollout

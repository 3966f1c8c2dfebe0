//! tailguard-reward

//! tailguard-ppo

//! From untrusted JSON to domain values. An event only says where to look; what is done is decided from live state.

pub mod account_joined;

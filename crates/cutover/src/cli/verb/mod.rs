//! The verbs, one file each; those that differ only in what they ask for share one.

pub mod abort;
pub mod accessory;
pub mod agent;
pub mod before_build;
pub mod build;
pub mod change;
pub mod check;
pub mod demo;
pub mod deploy;
pub mod events;
pub mod history;
pub mod init;
pub mod lock;
pub mod logs;
pub mod maintenance;
pub mod meter;
pub mod notify;
pub mod plan;
pub mod proxy;
pub mod show;
pub mod status;
pub mod steer;
pub mod together;

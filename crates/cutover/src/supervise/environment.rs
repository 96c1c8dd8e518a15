//! The environment and the arguments of a program.
//!
//! A program gets, the later winning over the earlier:
//!
//! 1. of the agent's own environment only `PATH`, `HOME`, `USER`, `LANG` and `TZ`: what happens to be set where the agent
//!    was started must not decide how a release behaves, nor leak into it;
//! 2. `HOME`, `USER` and `LOGNAME` of its user, if one is configured;
//! 3. what is configured, with placeholders replaced;
//! 4. `PORT` (or `CUTOVER_SOCKET`, for those that listen on one), `CUTOVER_SERVICE`, `CUTOVER_RELEASE`, `CUTOVER_INSTANCE`, and `CUTOVER_RUN`, by which its processes are
//!    recognised. `PORT` wins over a configured one, for two instances cannot share it: many an env file sets it. A hook is no
//!    instance, and gets neither `PORT` nor `CUTOVER_INSTANCE`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use nix::unistd::User;

use crate::runtime::process::order::Launch;
use crate::runtime::process::record::RUN_VARIABLE;

const INHERITED: [&str; 5] = ["PATH", "HOME", "USER", "LANG", "TZ"];
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What every program and command gets of our own environment.
pub fn inherited() -> BTreeMap<OsString, OsString> {
    let mut variables = BTreeMap::from([("PATH".into(), USUAL_PATH.into())]);
    variables.extend(INHERITED.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))));
    variables
}

pub fn variables(launch: &Launch, user: Option<&User>) -> BTreeMap<OsString, OsString> {
    let mut variables = inherited();
    if let Some(user) = user {
        variables.insert("HOME".into(), user.dir.clone().into());
        variables.insert("USER".into(), user.name.clone().into());
        variables.insert("LOGNAME".into(), user.name.clone().into());
    }
    let configured = launch.spec.env.iter();
    variables.extend(configured.map(|(name, value)| (name.into(), fill(value.reveal(), launch).into())));
    let ours = [
        ("CUTOVER_SERVICE", launch.instance.service.to_string()),
        ("CUTOVER_RELEASE", launch.instance.release.to_string()),
        (RUN_VARIABLE, launch.run.as_str().to_owned()),
    ];
    variables.extend(ours.map(|(name, value)| (name.into(), value.into())));
    if !launch.hook {
        let listens = match launch.socket() {
            Some(path) => ("CUTOVER_SOCKET", path.into()),
            None => ("PORT", launch.port.to_string().into()),
        };
        let of_instance = [listens, ("CUTOVER_INSTANCE", launch.instance.to_string().into())];
        variables.extend(of_instance.map(|(name, value)| (name.into(), value)));
    }
    variables
}

/// Replaces the placeholders in one argument or value. `{artifact}` and `{socket}` stay as they are where there is none.
pub fn fill(text: &str, launch: &Launch) -> String {
    let mut text = text
        .replace("{port}", &launch.port.to_string())
        .replace("{release}", &launch.instance.release.to_string())
        .replace("{instance}", &launch.instance.to_string());
    if let Some(copy) = &launch.artifact {
        text = text.replace("{artifact}", &copy.to_string_lossy());
    }
    if let Some(path) = launch.socket() {
        text = text.replace("{socket}", &path.to_string_lossy());
    }
    text
}

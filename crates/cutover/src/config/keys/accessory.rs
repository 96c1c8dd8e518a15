//! The keys of an accessory.

use super::Default::{Is, None, Required, Rule};
use super::{Form, Section, key};

pub(super) const ACCESSORY: Section = Section {
    path: "accessory.NAME",
    meaning: "A long-lived neighbour of services: a database, a cache, nginx itself. A container that is started once, before services are \
              deployed, found again by its label, and updated only by `cutover accessory update`. The tables under it are those of \
              a service.",
    keys: &[
        key("image", Form::Text, Required, "Its image."),
        key("command", Form::Command, Rule("the image's own"), "The arguments, in place of the image's."),
        key("entrypoint", Form::Command, Rule("the image's own"), "The program, in place of the image's."),
        key("env", Form::Values, None, "Environment variables, as for a service."),
        key("env_file", Form::Paths, None, "Files of environment variables."),
        key("port", Form::Number, None, "The port on which it is asked whether it is ready; 1 to 65535."),
        key("publish", Form::Texts, None, "Ports of the host, as `\"127.0.0.1:5432:5432\"` or `\"80:80\"`."),
        key("volumes", Form::Texts, None, "What it mounts, as for a service. Volumes with a name outlive it."),
        key("network", Form::Table, None, "The network that matters, as for a service; one address is enough."),
        key("networks", Form::Texts, None, "Further networks."),
        key("labels", Form::Values, None, "Labels, beside cutover's own."),
        key("user", Form::Text, Rule("the image's own"), "The user."),
        key("directory", Form::Path, Rule("the image's own"), "The working directory, inside."),
        key("pull", Form::OneOf(&["auto", "always", "never"]), Is("\"auto\""), "When its image is pulled."),
        key("platform", Form::Text, Rule("the host's own"), "The platform of the image."),
        key("depends_on", Form::Texts, None, "Accessories that must be ready before it is started."),
        key("ready", Form::Table, Rule("`running = true`"), "When it counts as ready."),
        key("stop", Form::Table, Rule("as for a service"), "How it is stopped."),
        key("limits", Form::Table, Rule("as for a service"), "What it may use."),
        key("logs", Form::Table, Rule("as for a service"), "How its output is kept."),
        key("container", Form::Table, None, "What the engine lets it do and have."),
        key("health", Form::Table, Rule("the image's own"), "The engine's health check."),
        key("login", Form::Table, Rule("the one of `docker login`"), "The login for its image's registry."),
    ],
};

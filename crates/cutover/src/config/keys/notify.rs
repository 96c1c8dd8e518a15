//! The keys of a notification.

use super::Default::{Is, None, Required, Rule};
use super::{Form, Section, key};

pub(super) const NOTIFY: Section = Section {
    path: "notify.NAME",
    meaning: "Who is told what becomes of deployments; see [notifications.md](notifications.md). It takes effect for a service when \
              that is deployed, also if nothing else has changed. What is in the environment or in a file is read then.",
    keys: &[
        key(
            "kind",
            Form::OneOf(&["slack", "discord", "webhook", "command", "email"]),
            Required,
            "`slack`: a webhook of Slack, or of what takes the same (Mattermost, Rocket.Chat). `discord`: a webhook of Discord. \
             `webhook`: signed JSON for any receiver. `command`: a program on this machine. `email`: by sendmail.",
        ),
        key(
            "on",
            Form::Texts,
            Is("[\"needs_you\", \"rolled_back\", \"done\"]"),
            "Of what: `started`, `promoted` (the new release has all the traffic), `failed` (a step failed; it is about to be undone), \
             `rolled_back` (it was undone, because something failed or somebody asked), `done`, `needs_you` (it is stuck). An empty \
             list turns it off.",
        ),
        key("services", Form::Texts, Rule("all"), "Of which services."),
        key(
            "url",
            Form::Text,
            None,
            "For `slack`, `discord` and `webhook`: its address, `https://…`. `${NAME}` is replaced by a variable of whoever runs \
             `cutover deploy`; it is never shown.",
        ),
        key("url_file", Form::Path, None, "A file that holds the address, in its place."),
        key("secret_env", Form::Text, None, "For `webhook`: the variable that holds the secret for the signature."),
        key("secret_file", Form::Path, None, "A file that holds the secret, in its place."),
        key(
            "command",
            Form::Command,
            None,
            "For `command`: the program. It gets the facts in its environment, and as JSON on its standard input; exit status 0 \
             says that it took them.",
        ),
        key("from", Form::Text, None, "For `email`: the sender."),
        key("to", Form::Texts, None, "For `email`: the receivers."),
        key(
            "sendmail",
            Form::Command,
            Rule("`[\"/usr/sbin/sendmail\", \"-t\", \"-i\"]`"),
            "For `email`: what takes the message with its header on its standard input.",
        ),
        key(
            "within",
            Form::Duration,
            Is("\"10s\""),
            "How long one try may take, at most 5m. What fails is tried again.",
        ),
    ],
};
